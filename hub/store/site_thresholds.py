"""The alert thresholds of each site, and the match probabilities that they are estimated from."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from dataclasses import fields as fields_of
from typing import Final

from pydantic_core import from_json

from hub.domain.thresholds import Threshold
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.events import EventStore
from hub.store.json_rows import encode
from hub.store.rows import Rows
from shared.taxonomy import CATEGORIES

_FIELDS: Final = frozenset(field.name for field in fields_of(Threshold))


class SiteThresholds:
    """Thresholds in the store; safe to use from several threads.

    Args:
        archive: whose store is used.
    """

    def __init__(self, archive: EventStore) -> None:
        self._redis = archive.client
        self._rows = archive.rows

    @raises_unavailable
    def of(self, site: str) -> dict[str, Threshold]:
        """Return the estimated thresholds of a site by category; empty if there are none yet."""
        return thresholds_from(self._rows, site, self._redis.get(keys.thresholds(site)))

    @raises_unavailable
    def set(self, site: str, thresholds: Mapping[str, Threshold]) -> None:
        """Put thresholds to use, from the next event on."""
        document = {category: threshold.to_json() for category, threshold in thresholds.items()}
        self._redis.set(keys.thresholds(site), encode({"thresholds": document}))

    @raises_unavailable
    def match_probabilities(self, site: str, since_ms: int, cooldown_ms: int) -> dict[str, list[float]]:
        """Return the match probabilities of a site's episodes since a time, by category.

        Only those of at least `MIN_THRESHOLD` are stored. Episodes of one sensor that opened at most a cool-down
        after each other count as one, with the highest of their match probabilities: they would have had one alert.
        Those from before the time are removed.

        Args:
            site: of the episodes.
            since_ms: the time, ms since 1970 UTC.
            cooldown_ms: time within which episodes have one alert.
        """
        values: dict[str, list[float]] = {}
        for category in CATEGORIES:
            key = keys.match_probabilities(site, category)
            rows = [(name, *value.split(b":")) for name, value in self._redis.hgetall(key).items()]
            kept = [(_sensor_of(name), int(at), float(best)) for name, at, best in rows if int(at) >= since_ms]
            values[category] = merge_within_cooldown(kept, cooldown_ms)
            if old := [name for name, at, _ in rows if int(at) < since_ms]:
                self._redis.hdel(key, *old)
        return values


def thresholds_from(rows: Rows, site: str, row: bytes | None) -> dict[str, Threshold]:
    """Return the thresholds of a site by category; empty if there is no row, or if it cannot be read."""
    return rows.read("thresholds", site, _thresholds_of, row) or {}


def merge_within_cooldown(episodes: Iterable[tuple[bytes, int, float]], cooldown_ms: int) -> list[float]:
    """Return the highest match probability of each run of episodes.

    Args:
        episodes: sensor, opening time in ms, and match probability of each.
        cooldown_ms: longest time between the openings of two episodes of a run.
    """
    highest: list[float] = []
    last: tuple[bytes, int] | None = None
    for sensor, at, match_probability in sorted(episodes):
        if last is not None and last[0] == sensor and at - last[1] <= cooldown_ms:
            highest[-1] = max(highest[-1], match_probability)
        else:
            highest.append(match_probability)
        last = (sensor, at)
    return highest


def _sensor_of(episode: bytes) -> bytes:
    return episode.rsplit(b".", 3)[0]


def _thresholds_of(row: bytes) -> dict[str, Threshold]:
    """Return thresholds from their row; earlier hubs wrote the categories alone."""
    document = from_json(row)
    of_categories = document["thresholds"] if "v" in document else document
    thresholds = {
        category: Threshold(**{name: value for name, value in fields.items() if name in _FIELDS})
        for category, fields in of_categories.items()
    }
    if not all(isinstance(value, int | float) for one in thresholds.values() for value in astuple(one)):
        raise TypeError("a threshold that is not made of numbers")
    return thresholds
