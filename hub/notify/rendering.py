"""What people read of an alert or a digest: a title and a body, made from templates that may be replaced.

A template is a text file in Jinja's language; its first line becomes the title, the rest the body. It is rendered in
a sandbox and without escaping, because the result is plain text. It sees `alert` (of a digest, the latest),
`alerts` (the oldest first), `page` (where to look), `zone`, and the filters of `Words`. Every template is tried when
it is loaded, on an alert with all that can be known and on one with the least.
"""

import logging
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hub.domain.source_summary import describe_source
from shared.errors import InvalidError, UnavailableError
from shared.messages import AlertMessage, ForecastWindow, MatchMessage, Recurrence, SourceMessage
from shared.text_files import read_text

log = logging.getLogger(__name__)

ALERT: Final = "alert.txt.j2"
DIGEST: Final = "digest.txt.j2"
TITLE_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """What people read.

    Attributes:
        title: one line.
        body: plain text of a few lines.
        page: address of the page that tells more.
    """

    title: str
    body: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class DigestGroup:
    """Alerts of a digest that are alike: the same kinds of sound at the same place, the oldest first."""

    kinds: str
    place: str
    alerts: tuple[AlertMessage, ...]


def alert_categories(alert: AlertMessage) -> list[str]:
    """The categories an alert is about, the surest first; of alerts that do not say, the one it likely is."""
    if alert.categories:
        return list(alert.categories)
    likely: Mapping[str, float] = alert.matches[0].shared or alert.presence
    return [max(likely, key=lambda name: likely[name])] if likely else []


def place(alert: AlertMessage | MatchMessage) -> str:
    """Where it was heard, as `site/sensor`."""
    return f"{alert.site}/{alert.sensor}"


def category_phrase(alert: AlertMessage) -> str:
    """What was heard, in words: the named sound, or else the categories."""
    if alert.name:
        return f"{alert.name}, heard again,"
    names = [name.replace("-", " ") for name in alert_categories(alert)]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "a sound"


def percent(share: float) -> str:
    """A probability as people write it; nothing uncertain is ever 0 or 100 %."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def sensor_names(ids: Sequence[str]) -> list[str]:
    """The places of episodes or events, each once, as `site/sensor`; what is a place already stays as it is."""
    return list(dict.fromkeys(one if "/" in one else "/".join(one.split(".")[:2]) for one in ids))


def grouped(alerts: Sequence[AlertMessage]) -> list[DigestGroup]:
    """The alerts of a digest by what and where, the most frequent first."""
    found: defaultdict[tuple[str, str], list[AlertMessage]] = defaultdict(list)
    for alert in alerts:
        found[category_phrase(alert), place(alert)].append(alert)
    groups = [DigestGroup(*key, tuple(sorted(own, key=lambda a: a.captured_at))) for key, own in found.items()]
    return sorted(groups, key=lambda group: -len(group.alerts))


class TimeFormatter:
    """Times in words, as people at the sites have them.

    Args:
        zone: theirs.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def clock(self, at: datetime) -> str:
        """As in "07:05"."""
        return f"{at.astimezone(self._zone):%H:%M}"

    def day(self, at: datetime, seen_from: datetime | None = None) -> str:
        """As in "2 Nov"; with the year if it is another than that of `seen_from`."""
        local = at.astimezone(self._zone)
        year = "" if seen_from is None or seen_from.astimezone(self._zone).year == local.year else f" {local.year}"
        return f"{local.day} {local:%b}{year}"

    def when(self, at: datetime, seen_from: datetime | None = None) -> str:
        """As in "Tue 24 Nov 07:05"."""
        return f"{at.astimezone(self._zone):%a} {self.day(at, seen_from)} {self.clock(at)}"

    def window(self, window: ForecastWindow) -> str:
        """As in "Mon 30 Nov 07:00-08:00"."""
        return f"{self.when(window.start)}-{self.clock(window.end)}"


def length(window: ForecastWindow) -> str:
    """How long a window is, to go after "any such": "hour", "2 hours", "30 minutes"."""
    minutes = round((window.end - window.start).total_seconds() / 60)
    if minutes == 60:
        return "hour"
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


class MessageRenderer:
    """Makes texts.

    Args:
        zone: the sites' time zone.
        public_url: where the hub's pages are, as people reach them.
        alert: a template of one alert, instead of the one that comes with the hub.
        digest: the same of a digest.

    Raises:
        Invalid: a template that cannot be read or used; the line is told.
    """

    def __init__(
        self, zone: ZoneInfo, public_url: str, *, alert: Path | None = None, digest: Path | None = None
    ) -> None:
        self._public_url = public_url.rstrip("/")
        self._zone = zone
        words = TimeFormatter(zone)
        self._environment = ImmutableSandboxedEnvironment(
            autoescape=False,  # plain text: what shows it as HTML escapes it then
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "kinds": category_phrase,
            "place": place,
            "percent": percent,
            "heard_by": sensor_names,
            "grouped": grouped,
            "length_in_words": length,
            "said_of": lambda source, alert: describe_source(
                source, alert_categories(alert)[0], lambda at: words.day(at, alert.captured_at)
            ),
            "clock": words.clock,
            "day": words.day,
            "when": words.when,
            "window": words.window,
        }
        self._own = {ALERT: alert or ALERT, DIGEST: digest or DIGEST}
        self._templates = {name: self._template(own) for name, own in self._own.items()}
        self._shipped = {name: self._template(name) for name in self._own}
        for sample in _SAMPLES:
            for name, own in self._own.items():
                _render(self._templates[name], own, self._seen(sample, name))

    def text(self, alerts: Sequence[AlertMessage], *, digest: bool = False) -> RenderedMessage:
        """What people read of some alerts; if a template of theirs fails, the one that ships is used.

        Args:
            alerts: one, or all of a digest.
            digest: whether they are one.
        """
        name = DIGEST if digest else ALERT
        seen = self._seen(sorted(alerts, key=lambda alert: alert.captured_at), name)
        try:
            return _render(self._templates[name], self._own[name], seen)
        except InvalidError as error:
            log.warning("template failed", extra={"reason": str(error)})
            return _render(self._shipped[name], name, seen)

    def _seen(self, alerts: Sequence[AlertMessage], name: str) -> dict[str, object]:
        page = self.page(alerts[-1]) if name == ALERT else self.page()
        return {"alert": alerts[-1], "alerts": alerts, "page": page, "zone": self._zone}

    def page(self, alert: AlertMessage | None = None) -> str:
        """The address of an alert's page, or of the list of all."""
        return f"{self._public_url}/alerts" + (f"/{alert.event}" if alert else "")

    def _template(self, source: Path | str) -> jinja2.Template:
        """From a file, or one that ships by its name."""
        file = source if isinstance(source, Path) else files("hub.notify") / "templates" / source
        try:
            text = read_text(file) if isinstance(file, Path) else file.read_text("utf-8")
            return self._environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise InvalidError(f"template {source}, line {error.lineno}: {error.message}") from error
        except (OSError, UnavailableError, InvalidError) as error:
            raise InvalidError(f"template {source} cannot be read: {error}") from error


def _render(template: jinja2.Template, name: Path | str, seen: Mapping[str, object]) -> RenderedMessage:
    try:
        made = template.render(seen)
    except Exception as error:  # a template may fail in any way that a program can
        raise InvalidError(f"template {name}, line {_line(error)}: {error}") from error
    title, _, body = made.strip().partition("\n")
    if not title:
        raise InvalidError(f"template {name}: its first line is the title, and there is none")
    return RenderedMessage(" ".join(title.split())[:TITLE_LIMIT], body.strip() or title, str(seen["page"]))


def _line(error: Exception) -> str:
    """The line of a template that raised this; Jinja gives its frames the template's own lines."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return str(own[-1].lineno) if own else "?"


def _samples() -> tuple[list[AlertMessage], ...]:
    """An alert of which the least is known, two of which everything is, and one of a named sound."""
    at = datetime(2026, 1, 5, 7, 2, tzinfo=UTC)
    match = MatchMessage(
        event="demo.street-1.boot.1",
        site="demo",
        sensor="street-1",
        captured_at=at - timedelta(days=7),
        level=7.0,
        shared={},
    )
    least = AlertMessage(
        event="demo.street-1.boot.2",
        site="demo",
        sensor="street-1",
        captured_at=at,
        laeq=-40.0,
        lafmax=-30.0,
        level_unit="dBFS",
        presence={},
        matches=[match],
    )
    window = ForecastWindow(
        start=at, end=at + timedelta(hours=1), probability=0.9, base_rate=0.1, backtest_windows=8, backtest_hits=7
    )
    recurrence = Recurrence(
        category="dog", episodes=9, days=9, since=at, regularity="daily", other_places=["demo/street-2"], next=window
    )
    known = {"match_probability": 0.9, "shared": {"dog": 0.9}}
    source = SourceMessage(
        id="4f2a9c01d7", new=False, probability=0.9, times=6, days=6, since=at, regularity="daily", next=window
    )
    everything = least.model_copy(
        update={
            "matches": [match.model_copy(update=known), match],
            "categories": ["dog", "engine"],
            "match_probability": 0.9,
            "threshold": 0.6,
            "episode": "demo.street-1.boot.2.7",
            "above_ambient_db": 12.0,
            "severity": "urgent",
            "recurrence": recurrence,
            "source": source,
            "linked": ["demo.street-2.boot.3.7"],
        }
    )
    named = everything.model_copy(update={"name": "bakery fan", "name_probability": 0.9, "watched": True})
    return [least], [everything, everything], [named]


_SAMPLES: Final = _samples()
