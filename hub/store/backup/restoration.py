"""Write the rows of a backup into a store, and make what a backup leaves out.

The key `keys.RESTORING` stands from the begin to the end: a hub refuses a store in which a restore was cut short.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any, Final

from hub.store import keys
from hub.store.backup.scope import ALL, event_of, is_left_out, is_passing
from hub.store.backup.values import Row, in_batches, queue_row
from hub.store.client import raises_unavailable
from hub.store.event_removal import index_keys_of_row
from hub.store.rows import Rows
from shared.errors import InvalidError

_ROWS: Final = 200
_KEYS: Final = 1_000


class Restoration:
    """A restore into a store.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def has_data(self) -> bool:
        """Return whether the store holds data of a hub."""
        return any(not is_passing(key) for key in self._redis.scan_iter(ALL, count=_KEYS))

    @raises_unavailable
    def is_in_use(self) -> bool:
        """Return whether a hub has asked within the last minute whether the store takes writes."""
        return bool(self._redis.exists(keys.ASKED))

    @raises_unavailable
    def begin(self, now: datetime) -> None:
        """Mark the store as being restored, and remove all keys of hubs."""
        self._redis.set(keys.RESTORING, now.isoformat())
        for some in in_batches(self._redis.scan_iter(ALL, count=_KEYS), _KEYS):
            if others := [key for key in some if key != keys.RESTORING.encode()]:
                self._redis.unlink(*others)

    @raises_unavailable
    def write(self, rows: Iterable[Row]) -> None:
        """Write rows, in their order.

        Raises:
            InvalidError: a row of a kind that is not known, or of a key that no backup holds.
            UnavailableError: the store does not answer, or its memory is full; restore again.
        """
        for some in in_batches(rows, _ROWS):
            pipe = self._redis.pipeline(transaction=False)
            for row in some:
                if not row.key.startswith(keys.EVERY.encode()) or is_left_out(row.key):
                    raise InvalidError(f"the backup holds the key {row.key!r}, which is of no hub")
                queue_row(pipe, row)
            pipe.execute()

    @raises_unavailable
    def index_events(self) -> int:
        """Put all events into their time indexes; return their number."""
        done = 0
        for some in in_batches(self._redis.scan_iter(f"{keys.event('')}*", count=_KEYS), _KEYS):
            names = [name for key in some if (name := event_of(key)) is not None]
            pipe = self._redis.pipeline(transaction=False)
            for name in names:
                pipe.hmget(keys.event(name), "captured_ms", "received_ms", "site", "presence")
            found = dict(zip(names, pipe.execute(), strict=True))
            pipe = self._redis.pipeline(transaction=False)
            for name, (captured_ms, received_ms, site, presence) in found.items():
                at = self._rows.read("event", name, int, captured_ms)
                at = at if at is not None else self._rows.read("event", name, int, received_ms) or 0
                indexes = self._rows.read("event", name, partial(index_keys_of_row, name, site or b""), presence)
                for index in [keys.EVENTS, *(indexes or ())]:
                    pipe.zadd(index, {name: at})
            pipe.execute()
            done += len(found)
        return done

    @raises_unavailable
    def end(self, schema: int) -> None:
        """Mark the store as complete, with a schema version."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.SCHEMA, schema)
            pipe.delete(keys.RESTORING)
            pipe.execute()
