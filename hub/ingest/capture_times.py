"""The times at which received events are taken to have been captured; the rules are in `hub.domain.clocks`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from hub.domain.clocks import Doubts, after_each_other, believed_at
from hub.store.events import EventStore
from shared.events import Event


class CaptureTimes:
    """Decide which times of capture are believed.

    Args:
        archive: holds the measured clocks of sensors.
        tolerance: largest error of a sensor's clock.
        doubts: reasons to doubt this hub's clock, as far as is known.
    """

    def __init__(self, archive: EventStore, tolerance: timedelta, doubts: Callable[[], Doubts]) -> None:
        self._archive = archive
        self._tolerance = tolerance
        self._doubts = doubts
        self._last_receipt = datetime.min.replace(tzinfo=UTC)

    def believed(self, events: Sequence[Event], received_at: datetime) -> list[datetime]:
        """Return the time of capture of each event; those that take the time of receipt keep their order.

        Args:
            events: of one batch, in order of receipt.
            received_at: when they came, by this hub's clock.

        Raises:
            UnavailableError: the store is away.
        """
        skews = self._skews(events, received_at)
        trusted = not self._doubts().clock
        times = [
            believed_at(event, received_at, self._tolerance, skew_s, trusted=trusted)
            for event, skew_s in zip(events, skews, strict=True)
        ]
        retimed = [number for number, event in enumerate(events) if times[number] != event.captured_at]
        for number, at in zip(
            retimed, after_each_other([times[number] for number in retimed], self._last_receipt), strict=True
        ):
            times[number] = self._last_receipt = at
        return times

    def _skews(self, events: Sequence[Event], received_at: datetime) -> list[float | None]:
        """Return how far each event's sensor was measured to be ahead in the same boot, in seconds; else None."""
        late = {
            event.place
            for event in events
            if received_at - event.captured_at > self._tolerance
            and not (event.backfilled or event.clock == "synchronised")
        }
        found = self._archive.sensors.clocks(sorted(late)) if late else {}
        readings = [found.get(event.place) for event in events]
        return [
            read.skew_s if read is not None and read.boot == event.id.boot else None
            for event, read in zip(events, readings, strict=True)
        ]
