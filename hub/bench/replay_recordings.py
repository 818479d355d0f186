"""Recordings of a real network, replayed through a hub in the order they were made, and its alerts in words.

A folder holds `clips/` and `labels.csv`, whose columns are `clip`, `sensor_id`, the eight categories (1: verified to
be there), `latitude`, `longitude`, and when: `year`, `week` (ISO 8601), `day` (0 is Monday), `hour`. What minute it
was is not known; clips of one sensor and hour are put four minutes apart, in the order of their names.
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
from shared.messages import AlertMessage
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
        path: of its file.
        sensor: its name.
        at: when it began, aware.
        labels: categories that are verified to be in it.
        position: latitude and longitude, degrees.
    """

    path: Path
    sensor: str
    at: datetime
    labels: frozenset[str]
    position: tuple[float, float]


@dataclass(frozen=True, slots=True)
class RenderedAlert:
    """An alert as people read it, beside what is verified.

    Attributes:
        title: of the text.
        body: of the text.
        heard: categories in its clip.
        match: categories in its best match.
        fault: why it is wrong by kind; "right" if it is not.
    """

    title: str
    body: str
    heard: tuple[str, ...]
    match: tuple[str, ...]
    fault: str

    def __str__(self) -> str:
        heard, match = (", ".join(of) or "nothing" for of in (self.heard, self.match))
        return f"{self.title}\n{self.body}\n-- verified: {heard}; best match: {match}; {self.fault}"


@dataclass(frozen=True, slots=True)
class RecordingFigures:
    """What `bench replay` prints.

    Attributes:
        clips: replayed.
        sensors: that made them.
        days: different dates on which they were made.
        alerts: raised, of those sensors that are looked at.
        precision_by_kind: share of alerts that are right by kind.
        stated: mean probability that they stated.
        wrong: counts by category and reason.
        texts: of all alerts, in order.
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
        """As JSON values."""
        return asdict(self)


def recordings(folder: Path, zone: ZoneInfo) -> list[Recording]:
    """The recordings of a folder, the oldest first.

    Args:
        folder: with `clips/` and `labels.csv`.
        zone: in which its hours are.

    Raises:
        Unavailable: `labels.csv` cannot be opened.
        Invalid: a row that is not understood.
    """
    made: list[Recording] = []
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
        made.append(Recording(folder / "clips" / row["clip"], sensor, at, labels, position))
    return sorted(made, key=lambda one: (one.at, one.sensor))


def recording_figures(
    folder: Path,
    settings: HubSettings,
    only: Sequence[str] = (),
    told: Callable[[str, float], None] = lambda *_: None,
) -> RecordingFigures:
    """Replay recordings and read the alerts.

    Args:
        folder: as of `recordings`.
        settings: the hub's; positions are those of the recordings.
        only: sensors whose alerts are looked at; all if none.
        told: progress.

    Raises:
        Unavailable: a file cannot be opened.
        Invalid: a row or a recording that is not understood, or settings that cannot be used.
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
            clips[str(event.id)] = Clip(0, 0.0, night=False, sounds=_sounds(one.labels), happenings=())
            replay.process_batch([event])
            told("replaying", (number + 1) / len(found))
        alerts = tuple(alert for alert in replay.alerts if not only or alert.sensor in only)
    truth = GroundTruth(0, list(positions), {}, clips, alerts, ())
    wording = MessageRenderer(zone, _PAGE)
    texts = tuple(_told(truth, alert, wording) for alert in alerts)
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
    """The clip as a sensor sends it, but for its level, which is not weighted."""
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


def _told(truth: GroundTruth, alert: AlertMessage, wording: MessageRenderer) -> RenderedAlert:
    text = wording.text([alert])
    heard, match = (_named(truth.clips[event].labels) for event in (alert.event, alert.matches[0].event))
    return RenderedAlert(text.title, text.body, heard, match, category_error(truth, alert))


def _named(labels: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in CATEGORIES if name in labels)
