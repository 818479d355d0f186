"""Replay of recordings of a real network through a hub in order of time, with the text of its alerts.

A folder holds `clips/` and `labels.csv`. Its columns are `clip`, `sensor_id`, the eight categories (1: verified as
present), `latitude`, `longitude`, `year`, `week` (ISO 8601), `day` (0 is Monday) and `hour`. The minute is not known:
the replay puts clips of one sensor and hour four minutes apart, in order of their names.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from hub.bench.alert_metrics import GroundTruth, category_error
from hub.bench.replay import replay_hub
from hub.bench.scenario import Clip
from hub.bench.synthetic_clips import measured
from hub.notify.rendering import MessageRenderer
from hub.settings import HubSettings
from shared.audio import LONGEST_S, encode_flac, read_file
from shared.errors import InvalidError
from shared.events import Event, EventId, Flac, Levels
from shared.messages.alert import AlertMessage
from shared.synthetic_mixture import SourceInstance
from shared.taxonomy import CATEGORIES
from shared.text_files import read_table

SITE: Final = "city"
_BOOT: Final = "replay"
_APART: Final = timedelta(minutes=4)
_MOST_IN_AN_HOUR: Final = 15
_PAGE: Final = "https://hub.example"


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip of a real sensor.

    Attributes:
        path: its file.
        sensor: name of the sensor.
        at: begin of the clip, with time zone.
        labels: categories that are verified as present.
        position: latitude and longitude, degrees.
    """

    path: Path
    sensor: str
    at: datetime
    labels: frozenset[str]
    position: tuple[float, float]


@dataclass(frozen=True, slots=True)
class RenderedAlert:
    """The text of an alert, with the verified categories.

    Attributes:
        title: title of the text.
        body: body of the text.
        labels: verified categories of its clip.
        match: verified categories of its best match.
        fault: reason why it is wrong by kind; "right" if it is right.
    """

    title: str
    body: str
    labels: tuple[str, ...]
    match: tuple[str, ...]
    fault: str

    def __str__(self) -> str:
        labels, match = (", ".join(names) or "nothing" for names in (self.labels, self.match))
        return f"{self.title}\n{self.body}\n-- verified: {labels}; best match: {match}; {self.fault}"


@dataclass(frozen=True, slots=True)
class RecordingFigures:
    """Figures that `bench replay` prints.

    Attributes:
        clips: replayed clips.
        sensors: number of sensors.
        days: number of different dates.
        alerts: alerts raised for the selected sensors.
        precision_by_kind: share of alerts that are right by kind.
        stated: mean stated probability of alerts.
        wrong: alerts that are wrong by kind, counted by category and reason.
        texts: texts of all alerts, in order.
    """

    clips: int
    sensors: int
    days: int
    alerts: int
    precision_by_kind: float
    stated: float
    wrong: dict[str, int]
    texts: tuple[RenderedAlert, ...]

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def recordings(folder: Path, zone: ZoneInfo) -> list[Recording]:
    """Read the recordings of a folder, the oldest first.

    Args:
        folder: folder with `clips/` and `labels.csv`.
        zone: time zone of its hours.

    Raises:
        UnavailableError: `labels.csv` cannot be opened.
        InvalidError: a row cannot be read.
    """
    recorded: list[Recording] = []
    in_hour: Counter[tuple[str, datetime]] = Counter()
    columns = ("clip", "sensor_id", *CATEGORIES, "latitude", "longitude", "year", "week", "day", "hour")
    for line in sorted(read_table(folder / "labels.csv", columns), key=lambda one: one.cells["clip"]):
        row = line.cells
        try:
            monday = datetime.fromisocalendar(int(row["year"]), int(row["week"]), 1).replace(tzinfo=zone)
            hour = monday + timedelta(days=int(row["day"]), hours=int(row["hour"]))
            sensor = f"sensor-{int(row['sensor_id']):02}"
            labels = frozenset(name for name in CATEGORIES if int(row[name]))
            position = (float(row["latitude"]), float(row["longitude"]))
        except (ValueError, OverflowError) as error:
            raise InvalidError(f"{folder / 'labels.csv'}, line {line.line}, clip {row['clip']}: {error}") from error
        at = hour.astimezone(UTC) + _APART * (in_hour[sensor, hour] % _MOST_IN_AN_HOUR)
        in_hour[sensor, hour] += 1
        recorded.append(Recording(folder / "clips" / row["clip"], sensor, at, labels, position))
    return sorted(recorded, key=lambda one: (one.at, one.sensor))


def recording_figures(
    folder: Path,
    settings: HubSettings,
    only: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda *_: None,
) -> RecordingFigures:
    """Replay recordings and judge the alerts.

    Args:
        folder: folder as for `recordings`.
        settings: settings of the hub; the recordings give the sensor positions.
        only: sensors whose alerts are judged; empty: all.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: a row or a recording cannot be read, or the settings cannot be used.
    """
    zone = ZoneInfo(settings.sites.timezone)
    found = recordings(folder, zone)
    positions = {f"{SITE}/{one.sensor}": one.position for one in found}
    settings = settings.model_copy(
        update={"sites": settings.sites.model_copy(update={"sensor_positions": positions})}
    )
    counted: Counter[str] = Counter()
    clips: dict[str, Clip] = {}
    with replay_hub(settings) as replay:
        for number, one in enumerate(found):
            event = _event(one, counted[one.sensor])
            counted[one.sensor] += 1
            clips[str(event.id)] = Clip(0, 0.0, night=False, sounds=_sounds(one.labels), sound_events=())
            replay.process_batch([event])
            progress("replaying", (number + 1) / len(found))
        alerts = tuple(alert for alert in replay.alerts if not only or alert.sensor in only)
    truth = GroundTruth(0, list(positions), {}, clips, alerts, ())
    wording = MessageRenderer(zone, _PAGE)
    texts = tuple(_render(truth, alert, wording) for alert in alerts)
    return RecordingFigures(
        clips=len(found),
        sensors=len(positions),
        days=len({one.at.astimezone(zone).date() for one in found}),
        alerts=len(alerts),
        precision_by_kind=sum(text.fault == "right" for text in texts) / max(len(texts), 1),
        stated=sum(alert.match_probability or 0.0 for alert in alerts) / max(len(alerts), 1),
        wrong=dict(
            Counter(
                f"{alert.categories[0]}: {text.fault}"
                for alert, text in zip(alerts, texts, strict=True)
                if text.fault != "right"
            )
        ),
        texts=texts,
    )


def _event(one: Recording, seq: int) -> Event:
    """Return the clip as a sensor sends it, except that its level is not weighted."""
    waveform, rate_hz = read_file(one.path, LONGEST_S + 1.0)
    laeq, lafmax = measured(waveform, rate_hz)
    return Event(
        id=EventId(SITE, one.sensor, _BOOT, seq),
        captured_at=one.at,
        duration_s=len(waveform) / rate_hz,
        rate_hz=rate_hz,
        levels=Levels(laeq, lafmax),
        body=Flac(encode_flac(waveform, rate_hz)),
    )


def _sounds(labels: frozenset[str]) -> tuple[SourceInstance, ...]:
    return tuple(SourceInstance(name, 0, 0.0, 1) for name in sorted(labels))


def _render(truth: GroundTruth, alert: AlertMessage, wording: MessageRenderer) -> RenderedAlert:
    text = wording.text([alert])
    labels, match = (_named(truth.clips[event].labels) for event in (alert.event, alert.matches[0].event))
    return RenderedAlert(text.title, text.body, labels, match, category_error(truth, alert))


def _named(labels: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in CATEGORIES if name in labels)
