"""Join the seconds of clips to one message per UTC minute.

With one message per minute and not per clip, the spool syncs the disk a sixth as often, and broker and hub handle a
sixth of the messages. A killed sensor loses at most the seconds of the current minute; their clips are in the spool.
"""

import math
from datetime import UTC, datetime
from typing import Final

from edge.clock import within_wire
from shared.events import LATEST, Calibration, ClockStatus
from shared.level_bands import band_rows
from shared.level_series import LevelSeries, tenths_of
from shared.levels.meter import Measurement

MINUTE_S: Final = 60
AHEAD_S: Final = 2.0
"""Seconds by which the end of a replay's level series may be ahead of the clock."""
_END_S: Final = int(LATEST.timestamp())


class LevelRecorder:
    """The seconds of the current minute of one sensor.

    A clip whose time is less than a second from the end of the previous clip continues its seconds. So the jitter of
    time stamps neither skips a second nor repeats one, and every second is at most 1 s from its time.

    Args:
        site: site of the sensor.
        sensor: name of the sensor.
        boot: id of this run.
        bands: whether the series hold one-third-octave bands.
    """

    def __init__(self, site: str, sensor: str, boot: str, *, bands: bool = False) -> None:
        self._names = (site, sensor, boot)
        self._bands = bands
        self._held: LevelSeries | None = None
        self._next_s: int | None = None

    def add(
        self,
        measured: Measurement,
        at: datetime,
        *,
        clock: ClockStatus,
        backfilled: bool,
        calibration: Calibration | None,
    ) -> list[LevelSeries]:
        """Take the seconds of the next clip; return the series that are complete.

        Args:
            measured: levels of the clip.
            at: start of the clip, timezone-aware.
            clock: whether the sensor's clock could be trusted.
            backfilled: whether the clip is a replay of an old recording.
            calibration: makes the levels sound pressure levels.

        Raises:
            InvalidError: a level outside [-250, 250] dB.
        """
        start_s = self._aligned(within_wire(at).timestamp())
        tenths = tenths_of(measured.seconds)[: _END_S - start_s]
        if len(tenths) == 0:
            return []
        clip = LevelSeries(
            *self._names,
            captured_at=datetime.fromtimestamp(start_s, UTC),
            tenths=tenths,
            unit=measured.levels.unit,
            clock=clock,
            backfilled=backfilled,
            calibration=calibration,
            bands=band_rows(measured.seconds[: len(tenths)]) if self._bands else None,
        )
        self._next_s = start_s + len(tenths)
        return [series for part in clip.split(MINUTE_S) for series in self._join(part)]

    def flush(self) -> list[LevelSeries]:
        """Return the series of the current minute, if there is one, because no clip follows soon."""
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _aligned(self, at_s: float) -> int:
        if self._next_s is not None and abs(at_s - self._next_s) < 1.0:
            return min(self._next_s, _END_S - 1)
        return min(math.floor(at_s + 0.5), _END_S - 1)

    def _join(self, part: LevelSeries) -> list[LevelSeries]:
        """Add a part of one minute; return the series that it ends."""
        joined = self._held.joined(part, MINUTE_S) if self._held is not None else part
        ended = self.flush() if joined is None else []
        self._held = joined or part
        if (self._held.start_s + len(self._held.tenths)) % MINUTE_S == 0:
            ended += self.flush()
        return ended


def is_ahead(series: LevelSeries, now_s: float) -> bool:
    """Return whether a replay's level series has seconds that are still to come.

    Args:
        series: made by a replay, which may run ahead of the clock.
        now_s: the time, in seconds since 1970 UTC.
    """
    return series.start_s + len(series.tenths) > now_s + AHEAD_S
