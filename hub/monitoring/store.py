"""Probe of Redis (availability, memory, contents, queues) and of the hub's disks."""

import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from hub.metrics.definitions import HubMetrics
from hub.notify.dispatcher import unpublished_alert_count
from hub.notify.outbox import Outbox, known_names
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.events import EventStore

_PAGE: Final = 100
_LATE_LOOKED_AT: Final = 5_000
"""Maximum of oldest events that the probe checks for late arrival."""


class StoreProbe:
    """Queries Redis and the disks, and exports the results.

    Args:
        archive: the event store.
        metrics: the hub's metrics.
        folders: folders that the hub writes to, by name.
    """

    def __init__(self, archive: EventStore, metrics: HubMetrics, folders: Mapping[str, Path]) -> None:
        self._archive = archive
        self._redis = archive.client
        self._metrics = metrics
        self._folders = folders

    def run(self, _now: datetime) -> None:
        """Export the state of Redis and the disks.

        Raises:
            UnavailableError: Redis does not answer.
        """
        self._ask()
        self._metrics.store_up.set(1)
        left_out = {"event": 0} | self._archive.rows.left_out
        self._metrics.rows_left_out.replace_all({(kind,): float(count) for kind, count in left_out.items()})
        self._look_at_disks()

    def on_store_unavailable(self) -> None:
        """Export that Redis does not answer, and set its other metrics to NaN."""
        metrics = self._metrics
        metrics.store_up.set(0)
        for gauge in (
            metrics.store_memory,
            metrics.store_limit,
            metrics.store_durable,
            metrics.store_events,
            metrics.store_alerts,
            metrics.store_oldest,
            metrics.store_waiting,
            metrics.store_letters,
            metrics.store_letter_bytes,
            metrics.store_sensors,
            metrics.store_sources,
            metrics.store_sources_due,
        ):
            gauge.set(math.nan)
        metrics.store_unsent.replace_all({})
        metrics.store_dead.replace_all({})

    def _look_at_disks(self) -> None:
        usage = {}
        for name, folder in self._folders.items():
            with suppress(
                OSError
            ):  # the folder appears with the first file; `check` tests whether the hub can write it
                usage[name] = shutil.disk_usage(folder)
        self._metrics.disk_free.replace_all({(name,): float(disk.free) for name, disk in usage.items()})
        # As in `df`, blocks reserved for the system do not count.
        self._metrics.disk_size.replace_all({(name,): float(disk.used + disk.free) for name, disk in usage.items()})

    def _oldest_ms(self) -> float:
        """Return the capture time of the oldest event that did not arrive late, in ms; NaN if there is none."""
        for start in range(0, _LATE_LOOKED_AT, _PAGE):
            rows = self._redis.zrange(keys.EVENTS, start, start + _PAGE - 1, withscores=True)
            if not rows:
                break
            late = self._redis.zmscore(keys.LATE, [name for name, _ in rows])
            for (_, at_ms), received in zip(rows, late, strict=True):
                if received is None:
                    return float(at_ms)
        return math.nan

    @raises_unavailable
    def _ask(self) -> None:
        metrics = self._metrics
        memory, kept = self._redis.info("memory"), self._redis.info("persistence")
        metrics.store_memory.set(memory["used_memory"])
        metrics.store_limit.set(memory.get("maxmemory") or memory.get("total_system_memory", math.nan))
        written = kept.get("aof_last_write_status", "ok") == "ok"
        metrics.store_durable.set(int(bool(kept.get("aof_enabled", 0)) and written))
        metrics.store_events.set(self._archive.count())
        metrics.store_alerts.set(self._archive.alerts.count())
        metrics.store_oldest.set(self._oldest_ms() / 1000)
        metrics.store_waiting.set(unpublished_alert_count(self._redis))
        metrics.store_sources.set(self._redis.zcard(keys.SOURCES))
        metrics.store_sources_due.set(self._redis.zcard(keys.SOURCES_DUE))
        letters = self._archive.letters
        metrics.store_letters.set(letters.count())
        metrics.store_letter_bytes.set(letters.size_bytes())
        metrics.store_letters_discarded.replace_all({(): float(letters.discarded())})
        outboxes = [Outbox(self._redis, name) for name in known_names(self._redis)]
        metrics.store_unsent.replace_all({(one.name,): float(one.count()) for one in outboxes})
        metrics.store_dead.replace_all({(one.name,): float(one.dead_count()) for one in outboxes})
