"""The times of level series that are sent after the clock was set right."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from edge.clock_history import ClockHistory
from edge.event_times import TimeCorrectingPublisher
from shared.level_series import LevelSeries, decode_series, encode_series

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
IN_1970 = datetime(1970, 1, 1, 0, 0, 30, tzinfo=UTC)
LEVELS = "earwitness/v1/demo/roof/levels"


@dataclass
class Line:
    """Keeps what is published."""

    payloads: list[bytes] = field(default_factory=list)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (topic, retain, qos, content_type) == (LEVELS, False, 1, "application/json")
        self.payloads.append(payload)
        return len(self.payloads)

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert (topic_filter, qos) == ("", 0), "nothing subscribes"

    def settled(self) -> None:
        """The line never ends."""

    def rival(self) -> None:
        """No other client is here."""


def minute(start: datetime, boot: str = "b") -> LevelSeries:
    tenths = np.full((30, 3), 500, dtype=np.int16)
    return LevelSeries("demo", "roof", boot, start, tenths, clock="unsynchronised")


def sent(history: ClockHistory, *series: LevelSeries) -> list[tuple[datetime, str]]:
    line = Line()
    publisher = TimeCorrectingPublisher(line, history, "b")
    for one in series:
        publisher.publish(LEVELS, encode_series(one), content_type="application/json")
    received = [decode_series(payload) for payload in line.payloads]
    assert all(np.array_equal(one.tenths, series[0].tenths) for one in received)
    return [(one.captured_at, one.clock) for one in received]


def set_right_after_an_hour() -> ClockHistory:
    history = ClockHistory()
    for clip in range(4):
        history.observe(IN_1970 + timedelta(seconds=10 * clip), 30.0 + 10 * clip, "unsynchronised", clip)
    history.observe(NOON + timedelta(seconds=0.4), 3_630.0, "synchronised", 4)
    return history


def test_a_series_of_1970_takes_the_time_of_the_clock_that_was_set_later() -> None:
    late = IN_1970 + timedelta(seconds=39)
    at_eleven = NOON - timedelta(hours=1)
    assert sent(set_right_after_an_hour(), minute(IN_1970), minute(late)) == [
        (at_eleven, "synchronised"),
        (at_eleven + timedelta(seconds=39), "synchronised"),
    ]


def test_a_series_of_another_run_or_of_the_right_clock_keeps_its_time() -> None:
    kept = [(IN_1970, "unsynchronised"), (NOON, "unsynchronised")]
    assert sent(set_right_after_an_hour(), minute(IN_1970, "another"), minute(NOON)) == kept


def test_a_series_at_a_time_that_the_clock_showed_twice_keeps_it() -> None:
    history = ClockHistory()
    for clip in range(4):
        history.observe(NOON + timedelta(seconds=10 * clip), 10.0 * clip, "unsynchronised", clip)
    history.observe(NOON + timedelta(seconds=20), 40.0, "synchronised", 4)
    assert sent(history, minute(NOON + timedelta(seconds=20))) == [(NOON + timedelta(seconds=20), "unsynchronised")]


def test_without_a_jump_nothing_is_changed() -> None:
    assert sent(ClockHistory(), minute(IN_1970)) == [(IN_1970, "unsynchronised")]
