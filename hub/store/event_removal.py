"""The removal of events and alerts that are older than the retention.

It uses only commands that a store without free memory still takes, and no transaction, which Redis then refuses (its
`processCommand`: MULTI may take any amount of memory). The removals are written to the stream of changes afterwards,
or later if the store refuses that.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from hub.domain.match import PRESENCE_THRESHOLD
from hub.store import keys
from hub.store.changes import ChangeLog
from hub.store.client import raises_unavailable
from hub.store.rows import Rows
from shared.taxonomy import CATEGORIES

_BATCH: Final = 256


class EventRemoval:
    """Removes events and alerts; raises the client's errors as they are.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
        changes: where removals are written.
    """

    def __init__(self, client: Any, rows: Rows, changes: ChangeLog) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows
        self._changes = changes
        self._kept: dict[str, int] = {}

    def remove_batch(self, limit_ms: int, now_ms: int | None) -> dict[str, str]:
        """Remove one batch of old events and alerts; see `EventStore.delete_before`.

        Args:
            limit_ms: the time, ms since 1970 UTC.
            now_ms: events captured after this time go by their receipt alone; None if there are none.
        """
        due = self._due(keys.EVENTS, limit_ms) or ([] if now_ms is None else self._ahead(limit_ms, now_ms))
        return self.remove(due, self._due(keys.ALERTS, limit_ms))

    def remove(self, due: Sequence[str], alerts: Sequence[str] = ()) -> dict[str, str]:
        """Remove one batch of events with their alerts, and alerts.

        Args:
            due: ids of at most some hundred events.
            alerts: ids of further alerts.

        Returns:
            The removed events, each with the path of its audio file, or "".
        """
        with self._redis.pipeline(transaction=False) as pipe:
            for key in due:
                pipe.hmget(keys.event(key), "clip", "site", "presence")
            rows = dict(zip(due, pipe.execute(), strict=True))
        raised = self._redis.zmscore(keys.ALERTS, due) if due else []
        alerted = [key for key, at in zip(due, raised, strict=True) if at is not None]
        # No transaction: a full store refuses those. The index of all events goes last, so that a removal that is cut
        # short is repeated.
        with self._redis.pipeline(transaction=False) as pipe:
            for key in alerted:  # a verdict may have moved their events to other indexes
                for category in CATEGORIES:
                    pipe.zrem(keys.events_of(category), key)
            for key, (_, site, presence) in rows.items():
                for index in self._rows.read("event", key, partial(index_keys_of_row, key, site), presence) or ():
                    pipe.zrem(index, key)
                pipe.delete(keys.event(key))
                pipe.zrem(keys.LATE, key)
                pipe.zrem(keys.EVENTS, key)
            for key in {*alerts, *due}:
                pipe.delete(keys.alert(key))
                pipe.zrem(keys.ALERTS, key)
            pipe.execute()
        self._changes.add_removed(rows)
        return {key: (clip or b"").decode() for key, (clip, _, _) in rows.items()}

    @raises_unavailable
    def remove_between(self, place: str, from_ms: int, until_ms: int) -> list[str]:
        """Remove one batch of a sensor's events, with their alerts.

        Args:
            place: `site/sensor`.
            from_ms: events captured from this time on, ms since 1970 UTC.
            until_ms: and before this time.

        Returns:
            Ids of the removed events; call again until there are none.
        """
        ids = self._redis.zrangebyscore(keys.events_of(place), from_ms, f"({until_ms}", start=0, num=_BATCH)
        return list(self.remove([key.decode() for key in ids]))

    def _due(self, index: str, limit_ms: int) -> list[str]:
        """Return the oldest of an index from before a time, without late ones, which are kept for longer."""
        start = self._kept.pop(index, 0)  # this many of the oldest are known to be kept
        while ids := self._redis.zrangebyscore(index, "-inf", f"({limit_ms}", start=start, num=_BATCH):
            received = self._redis.zmscore(keys.LATE, ids)
            due = [key.decode() for key, at in zip(ids, received, strict=True) if at is None or at < limit_ms]
            if due:
                self._kept[index] = start
                return due
            start += len(ids)
        return []

    def _ahead(self, limit_ms: int, now_ms: int) -> list[str]:
        """Return events captured after now and received before a time; earlier hubs archived such events."""
        start = 0
        while ids := self._redis.zrevrangebyscore(keys.EVENTS, "+inf", f"({now_ms}", start=start, num=_BATCH):
            pipe = self._redis.pipeline(transaction=False)
            for key in ids:
                pipe.hget(keys.event(key.decode()), "received_ms")
            received = [
                self._rows.read("event", key.decode(), int, at) or 0
                for key, at in zip(ids, pipe.execute(), strict=True)
            ]
            if due := [key.decode() for key, at in zip(ids, received, strict=True) if at < limit_ms]:
                return due
            start += len(ids)
        return []


def time_index_keys(place: str, presence: Sequence[float]) -> list[str]:
    """Return the keys of the time indexes that an event is in, beside the index of all events."""
    present = [name for name, p in zip(CATEGORIES, presence, strict=True) if p >= PRESENCE_THRESHOLD]
    return [keys.events_of(what) for what in (place, *present)]


def index_keys_of_row(key: str, site: bytes, presence: bytes) -> list[str]:
    """Return the keys of the indexes that a stored event is in; if that cannot be read, those of all categories."""
    place = f"{site.decode()}/{key.split('.')[-3]}"
    if len(presence) != 4 * len(CATEGORIES):
        return time_index_keys(place, [1.0] * len(CATEGORIES))
    return time_index_keys(place, np.frombuffer(presence, dtype="<f4").tolist())
