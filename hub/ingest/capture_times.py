"""The times at which events were captured, by the clocks of sensors and hub; the rules are in `hub.domain.clocks`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from hub.domain.clocks import Doubts, after_each_other, believed_at
from hub.store.sensors import SensorStore
from shared.events import Event


class CaptureTimes:
    """Decides which capture times are believed, and measures the offsets of sensors' clocks.

    Args:
        sensors: offsets of clocks, as measured.
        tolerance: largest error of a sensor's clock.
        doubts: returns the reasons to doubt this hub's clock, as far as is known.
        now: returns the time, UTC.
    """

    def __init__(
        self, sensors: SensorStore, tolerance: timedelta, doubts: Callable[[], Doubts], now: Callable[[], datetime]
    ) -> None:
        self._sensors = sensors
        self._tolerance = tolerance
        self._doubts = doubts
        self.now = now
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

    def believed(self, events: Sequence[Event], received_at: datetime) -> list[datetime]:
        """Return the times at which events are taken to have been captured; see `hub.domain.clocks`.

        Events that take the time of their receipt keep their order.
        """
        late = {
            event.place
            for event in events
            if received_at - event.captured_at > self._tolerance
            and not (event.backfilled or event.clock == "synchronised")
        }
        skews = self._sensors.clocks(sorted(late)) if late else {}
        trusted = not self._doubts().clock

        def skew_s(event: Event) -> float | None:
            read = skews.get(event.place)
            return read.skew_s if read is not None and read.boot == event.id.boot else None

        times = [believed_at(event, received_at, self._tolerance, skew_s(event), trusted=trusted) for event in events]
        retimed = [number for number, event in enumerate(events) if times[number] != event.captured_at]
        rising = after_each_other([times[number] for number in retimed], self._last_receipt)
        for number, at in zip(retimed, rising, strict=True):
            times[number] = self._last_receipt = at
        return times
