"""When events and level series were captured, by the clocks of sensors and hub; rules: `hub.domain.clocks`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.domain.clocks import Claim, Doubts, after_each_other, believed_at, may_be_late
from hub.runtime.clock import utc_now
from hub.store.sensors import SensorStore


@dataclass(frozen=True, slots=True)
class ClockRules:
    """How far the clocks of sensors and hub are believed.

    Attributes:
        tolerance: largest error of a sensor's clock.
        doubts: returns the reasons to doubt this hub's clock, as far as is known.
        now: returns the time, UTC.
    """

    tolerance: timedelta = timedelta(minutes=2)
    doubts: Callable[[], Doubts] = Doubts
    now: Callable[[], datetime] = utc_now


class CaptureTimes:
    """Decides which capture times are believed, and measures the offsets of sensors' clocks. For one thread.

    Args:
        sensors: offsets of clocks, as measured.
        rules: how far clocks are believed.
    """

    def __init__(self, sensors: SensorStore, rules: ClockRules) -> None:
        self._sensors = sensors
        self._tolerance = rules.tolerance
        self._doubts = rules.doubts
        self.now = rules.now
        self._last_receipt = datetime.min.replace(tzinfo=UTC)

    def offset_s(self, reported_at: datetime, waited_s: float | None) -> float | None:
        """Return how far a sensor's clock is ahead when its report is received, in seconds.

        Args:
            reported_at: time of the report by the sensor's clock.
            waited_s: how long the broker held the report, in seconds; None if that is not known.

        Returns:
            None if it cannot be measured.
        """
        if waited_s is None or not self._doubts().measures:
            return None
        return (reported_at - self.now()).total_seconds() + waited_s

    def believed(self, claims: Sequence[Claim], received_at: datetime) -> list[datetime]:
        """Return the times at which events or level series are taken to have been captured; see `hub.domain.clocks`.

        Those that take the time of their receipt keep their order.

        Raises:
            UnavailableError: the store does not answer.
        """
        late = {claim.place for claim in claims if may_be_late(claim, received_at, self._tolerance)}
        skews = self._sensors.clocks(sorted(late)) if late else {}
        trusted = not self._doubts().clock

        def skew_s(claim: Claim) -> float | None:
            read = skews.get(claim.place)
            return read.skew_s if read is not None and read.boot == claim.boot else None

        times = [believed_at(claim, received_at, self._tolerance, skew_s(claim), trusted=trusted) for claim in claims]
        retimed = [number for number, claim in enumerate(claims) if times[number] != claim.captured_at]
        rising = after_each_other([times[number] for number in retimed], self._last_receipt)
        for number, at in zip(retimed, rising, strict=True):
            times[number] = self._last_receipt = at
        return times
