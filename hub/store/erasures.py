"""Which periods of sensors and sites were erased, so that what arrives late, or again, is not archived.

A sensor's name, and ids of events, are kept as digests only. An event is refused in the script that archives events,
so that an erasure and an arrival at the same moment cannot miss each other.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hub.domain.erasure import Erasure, digest
from hub.store import keys
from hub.store.backup.values import in_batches
from hub.store.client import raises_unavailable

_PERIOD: Final = re.compile(r"(\d+):(\d+)")
_AT_ONCE: Final = 1_000
ERASED: Final = 2
"""What the function below makes a script return."""
IS_ERASED_LUA: Final = """
local function is_erased(key, place, at)
  local site = string.match(place, '^[^/]+')
  for _, row in ipairs(redis.call('HMGET', key, redis.sha1hex(place), redis.sha1hex(site))) do
    for from, till in string.gmatch(row or '', '(%d+):(%d+)') do
      if tonumber(from) <= tonumber(at) and tonumber(at) < tonumber(till) then return true end
    end
  end
  return false
end
"""


class Erasures:
    """Erased periods in the store; safe to use from several threads.

    Args:
        client: of the store.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client

    @raises_unavailable
    def add(self, erasure: Erasure, now_ms: int) -> None:
        """Record an erasure; what is captured from now on is kept.

        Raises:
            UnavailableError: the store does not answer, or its memory is full.
        """
        name = digest(erasure.name)
        period = f"{max(0, erasure.from_ms)}:{min(erasure.until_ms, now_ms)}"
        before = (self._redis.hget(keys.ERASURES, name) or b"").decode()
        periods = dict.fromkeys([*filter(None, before.split(",")), period])
        self._redis.hset(keys.ERASURES, name, ",".join(periods))

    @raises_unavailable
    def add_ids(self, place: str, digests: Sequence[str]) -> None:
        """Record digests of the ids of a sensor's erased events and episodes, so that what is left can be found."""
        for some in in_batches(digests, _AT_ONCE):
            self._redis.sadd(keys.erased_ids(digest(place)), *some)

    @raises_unavailable
    def ids(self, place: str) -> set[str]:
        """Return the digests of the ids of a sensor's events and episodes that were erased with a period."""
        return {one.decode() for one in self._redis.smembers(keys.erased_ids(digest(place)))}

    @raises_unavailable
    def all(self) -> dict[str, str]:
        """Return all erased periods by digest, as they are kept."""
        return {name.decode(): row.decode() for name, row in self._redis.hgetall(keys.ERASURES).items()}

    @raises_unavailable
    def add_all(self, periods: dict[str, str]) -> None:
        """Record what `all` returned, beside what is recorded already."""
        for name, row in periods.items():
            before = (self._redis.hget(keys.ERASURES, name) or b"").decode()
            self._redis.hset(keys.ERASURES, name, ",".join(dict.fromkeys(filter(None, [*before.split(","), row]))))

    def of_places(self, places: Iterable[str]) -> list[Erasure]:
        """Return the erasures that cover some sensors.

        Raises:
            UnavailableError: the store does not answer.
        """
        known = self.all()
        found = []
        for place in places:
            site, _, sensor = place.partition("/")
            for name in (place, site) if known else ():
                found += [
                    Erasure(site, sensor, int(start), int(end))
                    for start, end in _PERIOD.findall(known.get(digest(name), ""))
                ]
        return found

    def erased(self, captured: Sequence[tuple[str, int]]) -> list[bool]:
        """Return for each place and time, ms since 1970 UTC, whether it was erased.

        Raises:
            UnavailableError: the store does not answer.
        """
        periods = self.of_places({place for place, _ in captured})
        return [
            any(one.covers_place(place) and one.from_ms <= at < one.until_ms for one in periods)
            for place, at in captured
        ]
