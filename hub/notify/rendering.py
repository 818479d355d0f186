"""Render the text of an alert or a digest, title and body, from replaceable templates.

A template is a Jinja text file. Its first line becomes the title, the rest the body. The renderer uses a sandbox and
no escaping, because the result is plain text. A template sees `alert` (the latest of a digest), `alerts` (oldest
first), `page` (the URL of the web page), `zone`, and the filters of `MessageRenderer`. Loading a template renders it
once with a complete alert and once with a minimal one, to find errors.
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

from hub.domain.calibration import describe_calibration
from hub.domain.source_summary import describe_source
from shared.errors import InvalidError, UnavailableError
from shared.messages.alert import AlertMessage, ForecastWindow, MatchMessage, Recurrence, SourceMessage
from shared.text_files import read_text

log = logging.getLogger(__name__)

ALERT: Final = "alert.txt.j2"
DIGEST: Final = "digest.txt.j2"
TITLE_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """The text of a message.

    Attributes:
        title: one line.
        body: plain text of a few lines.
        page: URL of the page with details.
    """

    title: str
    body: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class DigestGroup:
    """Alerts of a digest with the same categories at the same sensor, oldest first."""

    kinds: str
    place: str
    alerts: tuple[AlertMessage, ...]


def alert_categories(alert: AlertMessage) -> list[str]:
    """Return the categories of an alert, most probable first; for alerts without, the most probable category."""
    if alert.categories:
        return list(alert.categories)
    likely: Mapping[str, float] = alert.matches[0].shared or alert.presence
    return [max(likely, key=lambda name: likely[name])] if likely else []


def place(alert: AlertMessage | MatchMessage) -> str:
    """Return the sensor of an alert or match, as `site/sensor`."""
    return f"{alert.site}/{alert.sensor}"


def category_phrase(alert: AlertMessage) -> str:
    """Return the named sound of an alert, or otherwise its categories, as text."""
    if alert.name:
        return f"{alert.name}, detected again,"
    names = [name.replace("-", " ") for name in alert_categories(alert)]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "a sound"


def percent(share: float) -> str:
    """Return a probability as text; only exactly 0 and 1 become 0 % and 100 %."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def sensor_names(ids: Sequence[str]) -> list[str]:
    """Return the distinct sensors of episode or event ids, as `site/sensor`; keep ids of that form."""
    return list(dict.fromkeys(one if "/" in one else "/".join(one.split(".")[:2]) for one in ids))


def grouped(alerts: Sequence[AlertMessage]) -> list[DigestGroup]:
    """Group the alerts of a digest by categories and sensor, largest group first."""
    by_key: defaultdict[tuple[str, str], list[AlertMessage]] = defaultdict(list)
    for alert in alerts:
        by_key[category_phrase(alert), place(alert)].append(alert)
    groups = [DigestGroup(*key, tuple(sorted(same, key=lambda a: a.captured_at))) for key, same in by_key.items()]
    return sorted(groups, key=lambda group: -len(group.alerts))


class TimeFormatter:
    """Formats times in the time zone of the sites.

    Args:
        zone: time zone of the sites.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def clock(self, at: datetime) -> str:
        """Return a time of day, such as "07:05"."""
        return f"{at.astimezone(self._zone):%H:%M}"

    def day(self, at: datetime, seen_from: datetime | None = None) -> str:
        """Return a day, such as "2 Nov"; with the year if it differs from the year of `seen_from`."""
        local = at.astimezone(self._zone)
        year = "" if seen_from is None or seen_from.astimezone(self._zone).year == local.year else f" {local.year}"
        return f"{local.day} {local:%b}{year}"

    def when(self, at: datetime, seen_from: datetime | None = None) -> str:
        """Return day and time, such as "Tue 24 Nov 07:05"."""
        return f"{at.astimezone(self._zone):%a} {self.day(at, seen_from)} {self.clock(at)}"

    def window(self, window: ForecastWindow) -> str:
        """Return a window, such as "Mon 30 Nov 07:00-08:00"."""
        return f"{self.when(window.start)}-{self.clock(window.end)}"


def length(window: ForecastWindow) -> str:
    """Return the length of a window, to follow "any such": "hour", "2 hours", "30 minutes"."""
    minutes = round((window.end - window.start).total_seconds() / 60)
    if minutes == 60:
        return "hour"
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


class MessageRenderer:
    """Renders alerts and digests.

    Args:
        zone: time zone of the sites.
        public_url: URL of the hub's pages for browsers.
        alert: template of one alert; the shipped one if None.
        digest: template of a digest; the shipped one if None.

    Raises:
        InvalidError: a template cannot be read or used; the error holds the line.
    """

    def __init__(
        self, zone: ZoneInfo, public_url: str, *, alert: Path | None = None, digest: Path | None = None
    ) -> None:
        self._public_url = public_url.rstrip("/")
        self._zone = zone
        words = TimeFormatter(zone)
        self._environment = ImmutableSandboxedEnvironment(
            autoescape=False,  # plain text: a receiver that shows it as HTML escapes it
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "kinds": category_phrase,
            "place": place,
            "percent": percent,
            "calibration_summary": _calibration_summary,
            "sensor_names": sensor_names,
            "grouped": grouped,
            "length_in_words": length,
            "source_sentence": lambda source, alert: describe_source(
                source, alert_categories(alert)[0], lambda at: words.day(at, alert.captured_at)
            ),
            "clock": words.clock,
            "day": words.day,
            "when": words.when,
            "window": words.window,
        }
        self._files = {ALERT: alert or ALERT, DIGEST: digest or DIGEST}
        self._templates = {name: self._template(file) for name, file in self._files.items()}
        self._shipped = {name: self._template(name) for name in self._files}
        for sample in _SAMPLES:
            for name, file in self._files.items():
                _render(self._templates[name], file, self._variables(sample, name))

    def text(self, alerts: Sequence[AlertMessage], *, digest: bool = False) -> RenderedMessage:
        """Return the text of an alert or a digest; if the user's template fails, use the shipped one.

        Args:
            alerts: one alert, or all of a digest.
            digest: whether to render a digest.
        """
        name = DIGEST if digest else ALERT
        variables = self._variables(sorted(alerts, key=lambda alert: alert.captured_at), name)
        try:
            return _render(self._templates[name], self._files[name], variables)
        except InvalidError as error:
            log.warning("template failed", extra={"reason": str(error)})
            return _render(self._shipped[name], name, variables)

    def _variables(self, alerts: Sequence[AlertMessage], name: str) -> dict[str, object]:
        page = self.page(alerts[-1]) if name == ALERT else self.page()
        return {"alert": alerts[-1], "alerts": alerts, "page": page, "zone": self._zone}

    def page(self, alert: AlertMessage | None = None) -> str:
        """Return the URL of an alert's page, or of the list of alerts."""
        return f"{self._public_url}/alerts" + (f"/{alert.event}" if alert else "")

    def _template(self, source: Path | str) -> jinja2.Template:
        """Load a template from a file, or a shipped one by its name."""
        file = source if isinstance(source, Path) else files("hub.notify") / "templates" / source
        try:
            text = read_text(file) if isinstance(file, Path) else file.read_text("utf-8")
            return self._environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise InvalidError(f"template {source}, line {error.lineno}: {error.message}") from error
        except (OSError, UnavailableError, InvalidError) as error:
            raise InvalidError(f"template {source} cannot be read: {error}") from error


def _render(template: jinja2.Template, name: Path | str, variables: Mapping[str, object]) -> RenderedMessage:
    try:
        text = template.render(variables)
    except Exception as error:  # a template may raise any error
        raise InvalidError(f"template {name}, line {_line(error)}: {error}") from error
    title, _, body = text.strip().partition("\n")
    if not title:
        raise InvalidError(f"template {name}: the title, its first line, is empty")
    return RenderedMessage(" ".join(title.split())[:TITLE_LIMIT], body.strip() or title, str(variables["page"]))


def _line(error: Exception) -> str:
    """Return the line of the template that raised an error; Jinja's frames have the line numbers of the template."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return str(frames[-1].lineno) if frames else "?"


def _calibration_summary(alert: AlertMessage) -> str:
    """Return how old the calibration of an alert's level is; "" if the level is in dB and the age is not known."""
    if alert.level_unit == "dB" and alert.calibration_age_days is None:
        return ""
    return describe_calibration(alert.level_unit, alert.calibration_age_days)


def _samples() -> tuple[list[AlertMessage], ...]:
    """Return samples: one minimal alert, two complete ones, and one of a named sound."""
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
