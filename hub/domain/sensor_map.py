"""Positions of sensors: which are near each other, and their local time."""

from collections.abc import Mapping
from math import asin, cos, hypot, radians, sin
from typing import Final
from zoneinfo import ZoneInfo

EARTH_M: Final = 6_371_009.0
"""Mean radius."""

Position = tuple[float, float]
"""Latitude and longitude, degrees."""


class SensorMap:
    """A network's sensors on the map.

    Args:
        positions: of each `site/sensor`; sensors without one are near no other.
        neighbour_radius_m: sensors of a site within this distance detect the same sounds, in metres.
        timezone: of the hour-of-week, quiet hours and texts.
    """

    def __init__(self, positions: Mapping[str, Position], neighbour_radius_m: float, timezone: ZoneInfo) -> None:
        self.positions = dict(positions)
        self.timezone = timezone
        self._near = {
            place: tuple(
                other
                for other, there in positions.items()
                if other != place
                and other.partition("/")[0] == place.partition("/")[0]
                and distance_m(here, there) <= neighbour_radius_m
            )
            for place, here in positions.items()
        }

    def neighbours(self, place: str) -> tuple[str, ...]:
        """Return the places of the sensors of the same site that are near one."""
        return self._near.get(place, ())


def distance_m(a: Position, b: Position) -> float:
    """Length of the great circle between two positions, in metres (haversine)."""
    (lat_a, lon_a), (lat_b, lon_b) = ((radians(x), radians(y)) for x, y in (a, b))
    across = sin((lon_b - lon_a) / 2) * (cos(lat_a) * cos(lat_b)) ** 0.5
    return 2 * EARTH_M * asin(min(1.0, hypot(sin((lat_b - lat_a) / 2), across)))
