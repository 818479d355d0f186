"""What an evidence report contains: values of a place and a period. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from hub.domain.delivery_ledger import LedgerRow
from hub.domain.level_rows import LevelTable
from hub.domain.verdicts import Verdict
from hub.evidence.coverage import Gap
from hub.evidence.sequences import SequenceRange
from hub.store.day_level_queries import PlaceDays
from hub.store.level_offsets import AppliedOffset
from hub.store.levels import AppliedCalibration
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage

MINUTE_S: Final = 60
MOST_S: Final = 366 * 86_400
_YEARS: Final = (1970, 2199)
_DATE_CHARACTERS: Final = len("2026-06-01")


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time in whole minutes.

    Attributes:
        start_s: begin, in seconds since 1970 UTC.
        end_s: end, likewise.
        zone: time zone in which the report states times.
    """

    start_s: int
    end_s: int
    zone: ZoneInfo

    @classmethod
    def between(cls, start: datetime, end: datetime, now: datetime, zone: ZoneInfo) -> "Period":
        """Return a period widened to whole minutes, and cut off at the last minute before now.

        Raises:
            InvalidError: it is empty, has not begun, or is longer than 366 days.
        """
        start_s = int(start.timestamp()) // MINUTE_S * MINUTE_S
        end_s = -(-int(end.timestamp()) // MINUTE_S) * MINUTE_S
        end_s = min(end_s, int(now.timestamp()) // MINUTE_S * MINUTE_S)
        if start_s < 0 or end_s <= start_s:
            raise InvalidError(f"the period from {start} to {end} is empty or has not begun: give an earlier begin")
        if end_s - start_s > MOST_S:
            raise InvalidError("a report has at most 366 days: write one for each year")
        return cls(start_s, end_s, zone)

    def text(self, at_s: float) -> str:
        """Return a time with the offset of its zone, to the second."""
        return self.at(at_s).isoformat(sep=" ", timespec="seconds")

    def at(self, at_s: float) -> datetime:
        """Return a time in the zone."""
        return datetime.fromtimestamp(at_s, UTC).astimezone(self.zone)


def parse_bound(text: str, zone: ZoneInfo, *, end: bool) -> datetime:
    """Return a bound of a period from a date, or from a time of ISO 8601; without an offset it has the zone.

    Args:
        text: such as 2026-06-01, 2026-06-01T22:00 or 2026-06-01T22:00:00+02:00.
        zone: time zone of the sites.
        end: whether it is the end; a date then means its last moment.

    Raises:
        InvalidError: another form, or a year outside 1971 to 2198.
    """
    try:
        at = datetime.fromisoformat(text)
        if len(text) == _DATE_CHARACTERS:
            at += timedelta(days=end)
    except (ValueError, OverflowError) as error:
        raise InvalidError(f"{text!r} is no date or time: write 2026-06-01 or 2026-06-01T22:00:00+02:00") from error
    if not _YEARS[0] < at.year < _YEARS[1]:
        raise InvalidError(f"{text!r} is outside the years {_YEARS[0] + 1} to {_YEARS[1] - 1}")
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert with what belongs to it.

    Attributes:
        alert: the message.
        network: fingerprint of the network that compared its event; "" if the event is not in the archive.
        verdicts: all verdicts on it, the oldest first.
        clip: name of its sound in the archive; "" if it has none.
        clip_note: why it has none, or that it is sealed.
        spectrogram: name of its picture in the archive; "" if it has none.
    """

    alert: AlertMessage
    network: str = ""
    verdicts: Sequence[Verdict] = ()
    clip: str = ""
    clip_note: str = ""
    spectrogram: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SensorRecord:
    """What the hub has of a sensor in a period.

    Attributes:
        place: `site/sensor`.
        software: program and version that it announced last.
        minutes: levels of the minutes of the period.
        hours: levels of the hours that the period touches.
        hours_start_s: begin of the first hour, in seconds since 1970 UTC.
        days: levels of the days that begin on the dates of the period.
        calibrations: those that apply to levels of the period.
        offsets: corrections of the times of levels.
        events: number of events of the period.
        ranges: their numbers, by run.
        gaps: gaps of the levels, then those of the events.
        ledger: rows of the delivery ledger that concern the period.
    """

    place: str
    software: str
    minutes: LevelTable
    hours: LevelTable
    hours_start_s: int
    days: PlaceDays
    calibrations: Sequence[AppliedCalibration] = ()
    offsets: Sequence[AppliedOffset] = ()
    events: int = 0
    ranges: Sequence[SequenceRange] = ()
    gaps: Sequence[Gap] = ()
    ledger: Sequence[LedgerRow] = ()

    def gaps_of(self, kind: str) -> list[Gap]:
        """Return the gaps of levels or of events."""
        return [gap for gap in self.gaps if gap.kind == kind]


@dataclass(frozen=True, slots=True)
class Making:
    """How a report was made.

    Attributes:
        made_at: when.
        made_by: by which user or program.
        hub: name of the hub.
        software: name and version of each program and library that made it.
        networks: SHA-256 of each checkpoint that the hub uses, by feature space.
        fingerprint: SHA-256 of the public key that the report is signed for.
    """

    made_at: datetime
    made_by: str
    hub: str
    software: Mapping[str, str]
    networks: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The contents of a report.

    Attributes:
        place: the site, or `site/sensor`.
        period: the span of time.
        making: how it was made.
        sensors: by name.
        alerts: of all sensors, the oldest first.
        damaged: kind and key of each stored row that could not be read.
    """

    place: str
    period: Period
    making: Making
    sensors: Sequence[SensorRecord]
    alerts: Sequence[AlertRecord]
    damaged: Sequence[tuple[str, str]] = field(default=())
