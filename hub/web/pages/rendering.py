"""What all pages share: templates, how times and numbers are written, and the frame around them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.source_summary import describe_source
from hub.web.context import WebContext
from hub.web.schemas import from_ms
from shared.messages import SourceMessage
from shared.taxonomy import CATEGORIES

_TEMPLATES: Final = Path(__file__).parents[1] / "templates"
NAMES: Final[Mapping[str, str]] = {
    "engine": "Engine",
    "machinery-impact": "Machinery impact",
    "non-machinery-impact": "Other impact",
    "powered-saw": "Powered saw",
    "alert-signal": "Siren or horn",
    "music": "Music",
    "human-voice": "Voices",
    "dog": "Dog",
}
"""How people call the categories."""
_NARROW: Final = "\N{NO-BREAK SPACE}"
_STRONG: Final = 0.6
"""Share of the most attention that counts as much."""
_SECTIONS: Final = (
    ("/", "Now"),
    ("/alerts", "Alerts"),
    ("/patterns", "Patterns"),
    ("/sources", "Sources"),
    ("/names", "Names"),
    ("/map", "Map"),
    ("/search", "Search"),
    ("/sensors", "Sensors"),
    ("/settings", "Settings"),
)


class PageRenderer:
    """Renders pages.

    Args:
        parts: of the hub.
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
            heard=likely_categories,
            attended=attention_summary,
            plainly=with_category_labels,
            coded=render_backticks,
            level=level,
            said_of=self.said_of,
        )
        self._templates.globals.update(CATEGORIES=CATEGORIES, sections=_SECTIONS, moment=from_ms)

    def page(self, request: Request, template: str, **values: Any) -> HTMLResponse:  # noqa: ANN401
        """A template, filled.

        Args:
            request: that is answered.
            template: file name.
            values: that it wants, beside those of the frame.
        """
        now = datetime.now(UTC)
        frame = {"path": request.url.path, "now": now, "zone": str(self._zone), "hub": self.parts.settings.hub.name}
        made = self._templates.get_template(template).render(frame | values)
        return HTMLResponse(made, headers={"Cache-Control": "no-store"})

    def local(self, at: datetime) -> datetime:
        """A time on the hub's clock."""
        return at.astimezone(self._zone)

    def when(self, at: datetime) -> Markup:
        """Day and time: "Fri 5 Jun, 22:14"; with the year if it is another one."""
        own = self.local(at)
        year = "" if own.year == datetime.now(self._zone).year else f" {own.year}"
        return _time(own, f"{own:%a} {own.day} {own:%b}{year}, {own:%H:%M}")

    def clock(self, at: datetime) -> Markup:
        """Time of day to the second."""
        own = self.local(at)
        return _time(own, f"{own:%H:%M:%S}")

    def day(self, at: datetime | date) -> Markup:
        """The day alone."""
        own = self.local(at) if isinstance(at, datetime) else at
        year = "" if own.year == datetime.now(self._zone).year else f" {own.year}"
        return Markup('<time datetime="{}">{}</time>').format(f"{own:%Y-%m-%d}", f"{own.day} {own:%b}{year}")

    def said_of(self, source: SourceMessage, category: str) -> str:
        """Say which source was heard, how often since when, and its rhythm."""
        said = describe_source(source, category, lambda at: str(self.day(at).striptags()))
        return said[:1].upper() + said[1:]

    def span(self, start: datetime, end: datetime) -> Markup:
        """From when to when: "Fri 5 Jun, 22:00 to 01:00"."""
        last = self.local(end)
        return Markup("{} to {}").format(self.when(start), _time(last, f"{last:%H:%M}"))


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)


def ago(at: datetime, now: datetime) -> str:
    """How long ago, roughly."""
    past = now - at
    return "just now" if past < timedelta(seconds=20) else f"{format_duration(past.total_seconds())} ago"


def format_duration(seconds: float) -> str:
    """A duration, roughly: "40 s", "12 min", "3 h", "9 days"."""
    for limit, size, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def percent(probability: float | None) -> str:
    """A probability as people read it."""
    return "unknown" if probability is None else f"{100 * probability:.0f}{_NARROW}%"


def category_label(category: str) -> str:
    """A category as people call it."""
    return NAMES.get(category, category)


def likely_categories(presence: Sequence[float]) -> list[str]:
    """Categories that an event likely contains, the likeliest first."""
    likely = [(p, name) for name, p in zip(CATEGORIES, presence, strict=True) if p >= PRESENCE_THRESHOLD]
    return [name for _, name in sorted(likely, reverse=True)]


def attention_summary(attention: Sequence[float], duration_s: float) -> str:
    """Which seconds of a clip drew attention.

    Args:
        attention: of each n-th of the clip, in [0, 1], the most being 1.
        duration_s: of the clip.
    """
    strong = [share >= _STRONG for share in attention]
    if not any(strong) or 2 * sum(strong) > len(strong):
        return "Attention is spread over the whole clip."
    edges = [n for n in range(len(strong) + 1) if [*strong, False][n] != [False, *strong][n]]
    step_s = duration_s / len(strong)
    spans = [
        f"{first * step_s:.0f} to {last * step_s:.0f} s" for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    return f"Most attention went to {', '.join(spans)}: the bright part of the bar below."


def with_category_labels(sentence: str) -> str:
    """A sentence about categories with their everyday names."""
    for category, name in sorted(NAMES.items(), key=lambda pair: -len(pair[0])):
        sentence = sentence.replace(f"contained {category}", f"contained {name.lower()}")
    return sentence.replace("%", f"{_NARROW}%")


def render_backticks(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def level(value: float, unit: str) -> str:
    """A level, with a minus sign that is one."""
    return f"{value:.0f}{_NARROW}{unit}".replace("-", "\N{MINUS SIGN}")
