"""Indexes of the hours and days with levels, by their begin: sorted sets of `<place>:<number>`."""

from typing import Any, Final

import redis

from hub.store.client import is_damage, raises_unavailable
from hub.store.rows import Rows

_AT_ONCE: Final = 32
"""Members that are read in one round trip."""


class LevelIndex:
    """An index of hours or days; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
        key: of the index.
    """

    def __init__(self, client: Any, rows: Rows, key: str) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows
        self._key = key

    @raises_unavailable
    def due(self, until_s: int, left: int) -> list[tuple[str, int] | None] | None:
        """Return place and number of the oldest hours or days that began at most at a time.

        Args:
            until_s: the time, in seconds since 1970 UTC.
            left: number of the oldest that are passed over.

        Returns:
            Some of them, none if there are no more. A name that cannot be read is None, and so is a damaged index.

        Raises:
            UnavailableError: the store does not answer.
        """
        try:
            found = self._redis.zrangebyscore(self._key, "-inf", until_s, start=left, num=_AT_ONCE)
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("level index", self._key, error)
            return None
        return [self._rows.read("level index", repr(member), _named, member) for member in found]


def _named(member: bytes) -> tuple[str, int]:
    """Return the place and number in a member of an index."""
    place, _, number = member.decode().rpartition(":")
    return place, int(number)
