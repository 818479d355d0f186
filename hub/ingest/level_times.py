"""Decide the times of level series of sensors with wrong clocks.

An event with a wrong time takes that of its receipt (`hub.domain.clocks`). A series cannot: it may have waited in the
spool for hours, and all series of a backlog would take the same minute and replace each other. So a series of a clock
that was measured to be off in the same boot takes the time that it claims less that offset, unless a daemon had set
the clock. Without a measurement, a time that can be is believed, and any other series has no time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from hub.domain.clocks import Doubts, believed_at, corrected_at, steady_offset_s
from hub.domain.records import ClockReading
from hub.store.level_offsets import AppliedOffset, LevelOffsets
from hub.store.sensors import SensorStore
from shared.level_series import LevelSeries

_REMEMBERED: Final = 10_000
"""Boots whose offset is remembered."""


@dataclass(frozen=True, slots=True)
class PlacedSeries:
    """A series at the time at which it is stored.

    Attributes:
        series: with that time.
        offset: what was taken off the time that the sensor stated; None if that is believed.
    """

    series: LevelSeries
    offset: AppliedOffset | None = None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Why a series has no time; `waits` if a report of its sensor may change that."""

    reason: str
    waits: bool


class LevelTimes:
    """Decides the times of level series. For one thread.

    Args:
        sensors: offsets of clocks, as measured.
        offsets: offsets that were taken off before.
        tolerance: largest error of a sensor's clock.
    """

    def __init__(self, sensors: SensorStore, offsets: LevelOffsets, tolerance: timedelta) -> None:
        self._sensors = sensors
        self._offsets = offsets
        self._tolerance = tolerance
        self._steady: dict[tuple[str, str], int] = {}

    def place(
        self, many: Sequence[LevelSeries], received_at: datetime, doubts: Doubts
    ) -> list[PlacedSeries | Unplaced]:
        """Return each series at its time, or why it has none.

        Args:
            many: series with the times that they claim.
            received_at: when they came, by this hub's clock.
            doubts: reasons to doubt that clock.

        Raises:
            UnavailableError: the store does not answer.
        """
        places = sorted(
            {one.place for one in many if not _is_sure(one) or not self._can_be(one, received_at, doubts)}
        )
        readings = self._sensors.clocks(places) if places else {}
        return [self._place(one, received_at, readings.get(one.place), doubts) for one in many]

    def _can_be(self, one: LevelSeries, received_at: datetime, doubts: Doubts) -> bool:
        believed = believed_at(one, received_at, self._tolerance, None, trusted=not doubts.clock)
        return believed == one.captured_at

    def _place(
        self, one: LevelSeries, received_at: datetime, reading: ClockReading | None, doubts: Doubts
    ) -> PlacedSeries | Unplaced:
        can_be = self._can_be(one, received_at, doubts)
        known = reading is not None and reading.boot == one.boot and not doubts.clock
        skew_s = reading.skew_s if reading is not None and known else 0.0
        is_off = abs(skew_s) > self._tolerance.total_seconds()
        if is_off and not (can_be and _is_sure(one)):
            offset_s = self._steady_offset_s(one, skew_s)
            at = corrected_at(one, received_at, self._tolerance, offset_s)
            if at is not None:
                series = replace(one, captured_at=at)
                end_s = series.start_s + len(series.tenths)
                return PlacedSeries(series, AppliedOffset(one.boot, offset_s, series.start_s, end_s))
        if can_be:
            return PlacedSeries(one)
        offset = f"{skew_s:.0f} s" if known else "not known"
        return Unplaced(
            f"the start {one.captured_at.isoformat()} cannot be: the sensor's clock was wrong, and its offset in the"
            f" run {one.boot} is {offset}",
            waits=not known,
        )

    def _steady_offset_s(self, one: LevelSeries, skew_s: float) -> int:
        """Return the offset of a boot in whole seconds, the same one while measurements differ little."""
        boot = (one.place, one.boot)
        if boot in self._steady:
            known = [self._steady[boot]]
        else:  # another hub, or this one before its start
            known = [applied.offset_s for applied in self._offsets.all(one.place) if applied.boot == one.boot]
        if len(self._steady) >= _REMEMBERED:
            self._steady.clear()
        self._steady[boot] = steady_offset_s(known, skew_s)
        return self._steady[boot]


def _is_sure(one: LevelSeries) -> bool:
    """Return whether the sensor's own clock was set by a daemon, or the series is a replay."""
    return one.backfilled or one.clock == "synchronised"
