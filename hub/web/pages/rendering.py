"""Render pages: templates, formats of times and numbers, and the frame that all pages share."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from hub.domain.accounts import Role
from hub.domain.calibration import describe_calibration
from hub.domain.category_names import NAMES, category_label
from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.recurrence.analysis import NO_PATTERN
from hub.domain.source_summary import describe_source
from hub.web.access import identity_of
from hub.web.context import WebContext
from hub.web.schemas import from_ms
from hub.web.verdict_service import may_withdraw
from shared.messages.alert import SourceMessage
from shared.taxonomy import CATEGORIES

_TEMPLATES: Final = Path(__file__).parents[1] / "templates"
_NARROW: Final = "\N{NO-BREAK SPACE}"
_STRONG: Final = 0.6
"""Share of the highest attention from which a part counts as strong."""
_SECTIONS: Final[tuple[tuple[str, str, Role], ...]] = (
    ("/", "Now", "viewer"),
    ("/alerts", "Alerts", "viewer"),
    ("/patterns", "Patterns", "viewer"),
    ("/sources", "Sources", "viewer"),
    ("/names", "Names", "viewer"),
    ("/map", "Map", "viewer"),
    ("/search", "Search", "viewer"),
    ("/levels", "Levels", "viewer"),
    ("/limits", "Limits", "viewer"),
    ("/sensors", "Sensors", "viewer"),
    ("/settings", "Settings", "operator"),
    ("/audit", "Audit", "admin"),
)


class PageRenderer:
    """Renders pages.

    Args:
        parts: the hub's parts.
    """

    def __init__(self, parts: WebContext) -> None:
        self.parts = parts
        self._zone = parts.places.timezone
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            when=self.when,
            clock=self.clock,
            day=self.day,
            span=self.span,
            ago=ago,
            lasting=format_duration,
            percent=percent,
            named=category_label,
            likely_categories=likely_categories,
            attended=attention_summary,
            plainly=with_category_labels,
            coded=render_backticks,
            level=level,
            calibrated=describe_calibration,
            source_summary=self.source_summary,
        )
        self._templates.tests.update(regular=is_regular, withdrawable=may_withdraw)
        self._templates.globals.update(
            CATEGORIES=CATEGORIES, category_names=NAMES, sections=_SECTIONS, moment=from_ms
        )

    def add_filters(self, **filters: Callable[..., Any]) -> None:
        """Add filters that the templates of some pages use."""
        self._templates.filters.update(filters)

    def page(self, request: Request, template: str, **values: Any) -> HTMLResponse:  # noqa: ANN401
        """Render a template as a response.

        Args:
            request: the request that is answered.
            template: file name of the template.
            values: values of the template, besides those of the frame.
        """
        now = datetime.now(UTC)
        frame = {
            "path": request.url.path,
            "now": now,
            "zone": str(self._zone),
            "hub": self.parts.settings.hub.name,
            "me": identity_of(request.scope),
        }
        text = self._templates.get_template(template).render(frame | values)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    def local(self, at: datetime) -> datetime:
        """Return a time in the hub's time zone."""
        return at.astimezone(self._zone)

    def when(self, at: datetime) -> Markup:
        """Format day and time, such as "Fri 5 Jun, 22:14"; with the year unless it is the current one."""
        local = self.local(at)
        year = "" if local.year == datetime.now(self._zone).year else f" {local.year}"
        return _time(local, f"{local:%a} {local.day} {local:%b}{year}, {local:%H:%M}")

    def clock(self, at: datetime) -> Markup:
        """Format the time of day to the second."""
        local = self.local(at)
        return _time(local, f"{local:%H:%M:%S}")

    def day(self, at: datetime | date) -> Markup:
        """Format the day alone; with the year unless it is the current one."""
        local = self.local(at) if isinstance(at, datetime) else at
        year = "" if local.year == datetime.now(self._zone).year else f" {local.year}"
        return Markup('<time datetime="{}">{}</time>').format(f"{local:%Y-%m-%d}", f"{local.day} {local:%b}{year}")

    def source_summary(self, source: SourceMessage, category: str) -> str:
        """Describe a detected source: its kind, how often since when, and its regularity."""
        text = describe_source(source, category, lambda at: str(self.day(at).striptags()))
        return text[:1].upper() + text[1:]

    def span(self, start: datetime, end: datetime) -> Markup:
        """Format a time span, such as "Fri 5 Jun, 22:00 to 01:00"."""
        last = self.local(end)
        return Markup("{} to {}").format(self.when(start), _time(last, f"{last:%H:%M}"))


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)


def as_json(values: Mapping[str, Any]) -> Markup:
    """Return values as JSON that can stand in an element of a page."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704 - JSON


def is_regular(regularity: str) -> bool:
    """Return whether a regularity names a pattern in time."""
    return regularity != NO_PATTERN


def ago(at: datetime, now: datetime) -> str:
    """Format the time since `at`, rounded."""
    past = now - at
    return "just now" if past < timedelta(seconds=20) else f"{format_duration(past.total_seconds())} ago"


def format_duration(seconds: float) -> str:
    """Format a duration, rounded: "40 s", "12 min", "3 h", "9 days"."""
    for limit, size, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def percent(probability: float | None) -> str:
    """Format a probability in per cent; None is "unknown"."""
    return "unknown" if probability is None else f"{100 * probability:.0f}{_NARROW}%"


def likely_categories(presence: Sequence[float]) -> list[str]:
    """Return the categories that an event likely contains, the most likely first."""
    likely = [(p, name) for name, p in zip(CATEGORIES, presence, strict=True) if p >= PRESENCE_THRESHOLD]
    return [name for _, name in sorted(likely, reverse=True)]


def attention_summary(attention: Sequence[float], duration_s: float) -> str:
    """Describe which seconds of a clip got the most attention.

    Args:
        attention: attention to each n-th of the clip, in [0, 1]; the highest is 1.
        duration_s: duration of the clip, in seconds.
    """
    strong = [share >= _STRONG for share in attention]
    if not any(strong) or 2 * sum(strong) > len(strong):
        return "The model's attention is spread over the whole clip."
    edges = [n for n in range(len(strong) + 1) if [*strong, False][n] != [False, *strong][n]]
    step_s = duration_s / len(strong)
    spans = [
        f"{first * step_s:.0f} to {last * step_s:.0f} s" for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    return f"The model paid most attention to {', '.join(spans)}, the bright part of the bar below."


def with_category_labels(sentence: str) -> str:
    """Replace the categories in a sentence with their labels."""
    for category, name in sorted(NAMES.items(), key=lambda pair: -len(pair[0])):
        sentence = sentence.replace(f"contained {category}", f"contained {name.lower()}")
    return sentence.replace("%", f"{_NARROW}%")


def render_backticks(text: str) -> Markup:
    """Render text between backticks as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def level(value: float, unit: str) -> str:
    """Format a level with its unit and a typographic minus sign."""
    return f"{value:.0f}{_NARROW}{unit}".replace("-", "\N{MINUS SIGN}")
