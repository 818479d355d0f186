"""Spans of time that a page of levels shows: an hour, a day, a week or a year, in local time. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

SpanName = Literal["hour", "day", "week", "year"]
SPANS: Final[tuple[SpanName, ...]] = ("hour", "day", "week", "year")
PERIODS: Final[dict[SpanName, tuple[str, int]]] = {
    "hour": ("second", 1),
    "day": ("minute", 60),
    "week": ("hour", 3_600),
    "year": ("day", 86_400),
}
"""What one value of a chart is of, and its length in seconds; a day may be an hour shorter or longer."""
_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis of time.

    Attributes:
        at_s: its time, in seconds since 1970 UTC.
        label: text of the axis.
        minor: whether a narrow display leaves the text out.
        query: parameters of the page of the shorter span that begins here; "" if there is none.
    """

    at_s: int
    label: str
    minor: bool
    query: str


@dataclass(frozen=True, slots=True)
class Span:
    """An hour, a day, a week or a year.

    Attributes:
        name: which of them.
        day: the date that it contains; of an hour and a day the only one, else the first.
        hour: of an hour, local time; 0 of all others.
        zone: the time zone.
    """

    name: SpanName
    day: date
    hour: int
    zone: ZoneInfo

    @property
    def bounds_s(self) -> tuple[int, int]:
        """Return begin and end, in seconds since 1970 UTC."""
        if self.name == "hour":
            begin_s = _at_s(self.day, self.hour, self.zone)
            return begin_s, max(_end_of_hour_s(self.day, self.hour, self.zone), begin_s + 3_600)
        return _at_s(self.day, 0, self.zone), _at_s(self.end, 0, self.zone)

    @property
    def end(self) -> date:
        """Return the first date after it."""
        match self.name:
            case "week":
                return self.day + timedelta(days=_WEEK)
            case "year":
                return date(self.day.year + 1, 1, 1)
            case _:
                return self.day + timedelta(days=1)

    @property
    def last(self) -> date:
        """Return its last date."""
        return self.day if self.name == "hour" else self.end - timedelta(days=1)

    def moved(self, steps: int) -> "Span":
        """Return the span that is some of its own lengths later (1) or earlier (-1)."""
        match self.name:
            case "hour":
                at = datetime.combine(self.day, time(self.hour), UTC) + timedelta(hours=steps)
                return Span(self.name, at.date(), at.hour, self.zone)
            case "year":
                return Span(self.name, date(self.day.year + steps, 1, 1), 0, self.zone)
            case _:
                days = steps * (_WEEK if self.name == "week" else 1)
                return Span(self.name, self.day + timedelta(days=days), 0, self.zone)

    @property
    def query(self) -> str:
        """Return the parameters of its page."""
        hour = f"&hour={self.hour}" if self.name == "hour" else ""
        return f"span={self.name}&day={self.day}{hour}"

    def ticks(self) -> Iterator[Tick]:
        """Yield the marks of its axis, in order of time."""
        match self.name:
            case "hour":
                begin_s, end_s = self.bounds_s
                for at_s in range(begin_s, end_s, 600):
                    label = f"{datetime.fromtimestamp(at_s, self.zone):%H:%M}"
                    yield Tick(at_s, label, at_s % 1_200 != 0, "")
            case "day":
                for hour in range(24):
                    query = f"span=hour&day={self.day}&hour={hour}"
                    yield Tick(_at_s(self.day, hour, self.zone), f"{hour}:00", hour % 6 != 0, query)
            case "week":
                for number in range(_WEEK):
                    day = self.day + timedelta(days=number)
                    yield Tick(_at_s(day, 0, self.zone), f"{day:%a} {day.day}", False, f"span=day&day={day}")
            case "year":
                for month in range(1, 13):
                    day = date(self.day.year, month, 1)
                    yield Tick(_at_s(day, 0, self.zone), f"{day:%b}", month % 3 != 1, "")


def span_of(name: SpanName, day: date, hour: int, zone: ZoneInfo) -> Span:
    """Return the span of a name that contains an hour of a date."""
    match name:
        case "week":
            return Span(name, day - timedelta(days=day.weekday()), 0, zone)
        case "year":
            return Span(name, date(day.year, 1, 1), 0, zone)
        case _:
            return Span(name, day, hour if name == "hour" else 0, zone)


def _at_s(day: date, hour: int, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(hour), zone).astimezone(UTC).timestamp())


def _end_of_hour_s(day: date, hour: int, zone: ZoneInfo) -> int:
    """Return the begin of the next hour; where clocks go back, an hour has two hours."""
    return _at_s(day, hour + 1, zone) if hour < 23 else _at_s(day + timedelta(days=1), 0, zone)
