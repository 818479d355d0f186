"""The stream of events that were added and removed, by which hubs follow each other."""

import logging
from collections.abc import Iterable
from typing import Any, Final

import redis

from hub.domain.records import ChangeRecord
from hub.store import keys
from hub.store.client import raises_unavailable

log = logging.getLogger(__name__)

CHANGES_KEPT: Final = 1_000_000
"""About this many changes are kept. A hub that was away for longer compares the ids of all events."""
_BATCH: Final = 256


class ChangeLog:
    """Changes in the store; safe to use from several threads.

    Args:
        client: of the store.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._unwritten: list[str] = []  # removed events that the stream does not have yet

    @raises_unavailable
    def last_id(self) -> str:
        """Return the position of the newest change; `since` returns what comes after it."""
        newest = self._redis.xrevrange(keys.CHANGES, count=1)
        return newest[0][0].decode() if newest else "0-0"

    @raises_unavailable
    def since(self, after: str, *, limit: int = 1_000) -> tuple[str, list[ChangeRecord]] | None:
        """Return what was added and removed after a position.

        Args:
            after: a position that was returned before.
            limit: most changes returned.

        Returns:
            The position now, and the changes, oldest first. None if changes after this position may be trimmed, or if
            the store does not know the position: it was emptied, or restored from a backup.
        """
        # No transaction: a full store refuses even those that only read. What is trimmed after it was read counts as
        # missed.
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xread({keys.CHANGES: after}, count=limit)
            pipe.xrange(keys.CHANGES, count=1)
            pipe.xrevrange(keys.CHANGES, count=1)
            pipe.xlen(keys.CHANGES)
            streams, oldest, newest, kept = pipe.execute()
        if after == "0-0":
            missed = kept >= CHANGES_KEPT  # trimming leaves at least this many
        else:
            missed = not oldest or not _numbers(oldest[0][0]) <= _numbers(after) <= _numbers(newest[0][0])
        if missed:
            return None
        if not streams:
            return after, []
        entries = streams[0][1]
        changes = [ChangeRecord(name.decode(), what == b"gone") for _, row in entries for what, name in row.items()]
        return entries[-1][0].decode(), changes

    def add_removed(self, events: Iterable[str]) -> None:
        """Write that events were removed; if the store has no memory for that, the next call writes it."""
        self._unwritten += events
        while self._unwritten:
            pipe = self._redis.pipeline(transaction=False)
            for event in self._unwritten[:_BATCH]:
                pipe.xadd(keys.CHANGES, {"gone": event}, maxlen=CHANGES_KEPT, approximate=True)
            try:
                pipe.execute()
            except redis.ResponseError as error:  # to write a removal twice changes nothing
                log.warning(
                    "removals are not in the stream of changes yet",
                    extra={"events": len(self._unwritten), "reason": str(error)},
                )
                return
            del self._unwritten[:_BATCH]


def _numbers(position: str | bytes) -> tuple[int, int]:
    """Return a stream position as numbers that compare."""
    text = position.decode() if isinstance(position, bytes) else position
    ms, _, number = text.partition("-")
    return int(ms), int(number)
