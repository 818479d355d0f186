"""Rules on the clocks of sensors, of this hub and of its store. No clock is read here.

An event claims when it was captured. What cannot be is not believed: a clip that ends after its receipt, a time
before 2000, and a clip of a sensor whose clock was measured to be behind. Such an event takes the time of its
receipt, and keeps what it claimed. A clip that waited in a spool, or is a replay, keeps its time however old it is.

A sensor's clock is measured by its reports: each states when it was sent, and the broker states how long it held it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final, Protocol

from hub.domain.records import Sensor
from shared.events import ClockStatus
from shared.messages.sensor import STATE_EXPIRY_S

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A clock with an earlier time was never set."""
WRITTEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A hub whose clock has an earlier time has no battery, and was not reached by NTP yet."""
QUIET: Final = timedelta(days=1)
"""Age of the newest event above which no sensor is online, or this hub's clock is ahead."""
STEADY_S: Final = 2.0
"""Measurements of a clock that differ by less are the same offset. They are exact to about a second."""
_FEWEST: Final = 2
"""Sensors that must agree before they are believed rather than this hub."""


def waited_s(expiry_s: int | None, *, retained: bool) -> float | None:
    """Return the time for which a broker held a sensor's state before it sent it, in seconds.

    Args:
        expiry_s: what was left of `STATE_EXPIRY_S`.
        retained: whether it was sent as a retained message.

    Returns:
        None if that is not known: the sensor gave no expiry, or the broker takes nothing off.
    """
    if expiry_s is None or not 0 <= expiry_s <= STATE_EXPIRY_S or (retained and expiry_s == STATE_EXPIRY_S):
        return None
    return float(STATE_EXPIRY_S - expiry_s)


class Claim(Protocol):
    """What a sensor claims of sound that it captured: an event, or a level series; see `shared.events.Event`."""

    @property
    def place(self) -> str:
        """Return `site/sensor`."""

    @property
    def boot(self) -> str:
        """Return the id of the sensor's run."""

    @property
    def captured_at(self) -> datetime:
        """Return the start by the sensor's clock."""

    @property
    def duration_s(self) -> float:
        """Return the length in seconds."""

    @property
    def clock(self) -> ClockStatus:
        """Return whether the sensor's clock could be trusted."""

    @property
    def backfilled(self) -> bool:
        """Return whether it is a replay of old recordings."""


def believed_at(
    event: Claim, received_at: datetime, tolerance: timedelta, skew_s: float | None, *, trusted: bool = True
) -> datetime:
    """Return the time at which an event is taken to have been captured.

    Args:
        event: with the time that it claims.
        received_at: when it came, by this hub's clock.
        tolerance: most difference between clocks.
        skew_s: how far its sensor's clock was measured to be ahead in the same boot, in seconds; None if it was not.
        trusted: whether this hub's clock is right as far as is known.

    Returns:
        The time that it claims; or that of its receipt, less its length, if the claim cannot be.
    """
    length = timedelta(seconds=event.duration_s)
    claimed, latest = event.captured_at, received_at - length
    if claimed < EARLIEST:
        return latest
    if not trusted:
        return claimed
    if claimed > latest + tolerance:
        return latest
    sure = event.backfilled or event.clock == "synchronised"
    behind = skew_s is not None and skew_s < -tolerance.total_seconds()
    return latest if behind and not sure else claimed


def corrected_at(claim: Claim, received_at: datetime, tolerance: timedelta, offset_s: int) -> datetime | None:
    """Return a claimed time less the offset of the sensor's clock; None if that cannot be either.

    Args:
        claim: with a time that is not believed.
        received_at: when it came, by this hub's clock, which is right.
        tolerance: most difference between clocks.
        offset_s: how far the sensor's clock was ahead in the same boot, in seconds.
    """
    at = claim.captured_at - timedelta(seconds=offset_s)
    latest = received_at - timedelta(seconds=claim.duration_s) + tolerance
    return at if EARLIEST <= at <= latest else None


def steady_offset_s(known: Sequence[int], skew_s: float) -> int:
    """Return the offset of a clock in whole seconds: one that was applied before, unless the clock moved since.

    Otherwise each measurement would move the seconds of a sensor to and fro.

    Args:
        known: offsets that were applied before in the same boot.
        skew_s: how far the clock was measured to be ahead, in seconds.
    """
    nearest = min(known, key=lambda offset_s: abs(offset_s - skew_s), default=None)
    return nearest if nearest is not None and abs(nearest - skew_s) <= STEADY_S else round(skew_s)


def may_be_late(claim: Claim, received_at: datetime, tolerance: timedelta) -> bool:
    """Return whether `believed_at` needs the measured offset of the sensor's clock."""
    sure = claim.backfilled or claim.clock == "synchronised"
    return received_at - claim.captured_at > tolerance and not sure


def after_each_other(times: Sequence[datetime], last: datetime) -> list[datetime]:
    """Return times of receipt that rise by at least a millisecond, so that events of one batch keep their order.

    Args:
        times: of receipt, in order of arrival.
        last: the last time that was given before.
    """
    rising = []
    for at in times:
        last = max(at, last + timedelta(milliseconds=1))
        rising.append(last)
    return rising


@dataclass(frozen=True, slots=True)
class Doubts:
    """Reasons to doubt this hub's clock, in words; each is "" if there is none.

    Attributes:
        clock: why the clock must be wrong.
        retention: why nothing may be removed by it; if the clock is wrong, that.
        measures: whether sensors' clocks may be measured by it: it agrees with the store's.
    """

    clock: str = ""
    retention: str = ""
    measures: bool = True


def doubts(now: datetime, store_now: datetime, sensors: Sequence[Sensor], tolerance: timedelta) -> Doubts:
    """Compare this hub's clock with the store's and the sensors', and return the reasons to doubt it.

    Args:
        now: by this hub's clock.
        store_now: by the store's, at the same moment.
        sensors: all of them.
        tolerance: most difference between clocks.
    """
    by_itself = _beside_store(now, store_now, tolerance) or _went_back(now, sensors, tolerance)
    if wrong := by_itself or _beside_sensors(sensors, tolerance):
        return Doubts(wrong, wrong, measures=not by_itself)
    newest = _newest_claim(now, sensors, tolerance)
    if newest is not None and now - newest > QUIET:
        return Doubts(
            retention=f"the newest event is of {newest:%Y-%m-%d %H:%M} UTC by the sensors' clocks:"
            " no sensor is online, or this hub's clock is ahead"
        )
    return Doubts()


def _beside_store(now: datetime, store_now: datetime, tolerance: timedelta) -> str:
    off = now - store_now
    if abs(off) <= tolerance:
        return ""
    return f"this hub's clock is {wording(off)} {_way(off)} the store's: set both by NTP"


def _went_back(now: datetime, sensors: Sequence[Sensor], tolerance: timedelta) -> str:
    received = max((s.last_received_at for s in sensors if s.last_received_at is not None), default=None)
    if received is not None and received - now > tolerance:
        return f"events were received at {received:%Y-%m-%d %H:%M} UTC, later than this hub's clock shows"
    if now < WRITTEN:
        return f"this hub's clock is at {now:%Y-%m-%d}, which was before this program was written: set it by NTP"
    return ""


def _beside_sensors(sensors: Sequence[Sensor], tolerance: timedelta) -> str:
    """Return the doubt about this hub's clock on which most measured sensors agree; else ""."""
    skews = [s.clock.skew_s for s in sensors if s.clock is not None and s.state == "ready"]
    if len(skews) < _FEWEST:
        return ""
    middle, limit_s = median(skews), tolerance.total_seconds()
    agreeing = sum(abs(skew - middle) <= limit_s for skew in skews)
    if abs(middle) <= limit_s or agreeing < _FEWEST or 2 * agreeing <= len(skews):
        return ""
    off = timedelta(seconds=-middle)
    return f"{agreeing} of {len(skews)} sensors agree: this hub's clock is {wording(off)} {_way(off)}: set it by NTP"


def _newest_claim(now: datetime, sensors: Sequence[Sensor], tolerance: timedelta) -> datetime | None:
    """Return the latest plausible time of a sensor's clock."""
    times = [at for s in sensors for at in (s.last_claimed_at, s.report.at if s.report is not None else None)]
    return max((at for at in times if at is not None and EARLIEST <= at <= now + tolerance), default=None)


def wording(off: timedelta) -> str:
    """Describe a difference of clocks, without its direction: "2.0 h"."""
    seconds = abs(off.total_seconds())
    for unit, length in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _way(off: timedelta) -> str:
    return "ahead of" if off > timedelta(0) else "behind"
