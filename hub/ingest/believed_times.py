"""The times at which events and level series are taken to have been captured, with what the store knows of clocks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.domain.clocks import Claim, believed_at, may_be_late
from hub.store.sensors import SensorStore


def believed_times(
    claims: Sequence[Claim], received_at: datetime, sensors: SensorStore, tolerance: timedelta, *, trusted: bool
) -> list[datetime]:
    """Return the time that each claim is taken to have; see `hub.domain.clocks.believed_at`.

    Args:
        claims: events or level series.
        received_at: when they came.
        sensors: knows the measured offsets of clocks.
        tolerance: largest error of a sensor's clock.
        trusted: whether this hub's clock is right as far as is known.

    Raises:
        UnavailableError: the store does not answer.
    """
    late = {claim.place for claim in claims if may_be_late(claim, received_at, tolerance)}
    readings = sensors.clocks(sorted(late)) if late else {}

    def skew_s(claim: Claim) -> float | None:
        reading = readings.get(claim.place)
        return reading.skew_s if reading is not None and reading.boot == claim.boot else None

    return [believed_at(one, received_at, tolerance, skew_s(one), trusted=trusted) for one in claims]
