"""A look at the store: whether it answers, its memory, what it keeps and what waits in it; and at the hub's disks."""

import math
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from hub.archive import PREFIX, Archive, translated
from hub.feedback import Feedback
from hub.metrics import VERDICTS, HubMetrics
from hub.notify.outbox import Outbox, known_names
from hub.notify.teller import unpublished_count
from hub.stored import ms_of

JUDGED_MS = 30 * 86_400_000
"""Verdicts of so long say how well likeness is calibrated, in ms."""


class StoreLook:
    """Asks the store how it is, and tells.

    Args:
        archive: in that store.
        feedback: what people said.
        metrics: where it is told.
        folders: what the hub writes to, by name.
    """

    def __init__(
        self, archive: Archive, feedback: Feedback, metrics: HubMetrics, folders: Mapping[str, Path]
    ) -> None:
        self._archive = archive
        self._redis = archive.client
        self._feedback = feedback
        self._metrics = metrics
        self._folders = folders
        self._said = ""

    def look(self, now: datetime) -> None:
        """Tell how store and disks are.

        Raises:
            Unavailable: the store is away.
        """
        self._look_at_disks()
        self._ask()
        self._look_at_verdicts(now)
        self._metrics.store_up.set(1)

    def lost(self) -> None:
        """Tell that the store is away; nothing is known of what it keeps."""
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
            metrics.store_sensors,
        ):
            gauge.set(math.nan)
        metrics.store_dead.put({})

    def _look_at_disks(self) -> None:
        usage = {}
        for name, folder in self._folders.items():
            with suppress(OSError):  # it is made with the first file; whether it can be, `check` tells
                usage[name] = shutil.disk_usage(folder)
        self._metrics.disk_free.put({(name,): float(disk.free) for name, disk in usage.items()})
        self._metrics.disk_size.put({(name,): float(disk.total) for name, disk in usage.items()})

    @translated
    def _ask(self) -> None:
        metrics = self._metrics
        memory, kept = self._redis.info("memory"), self._redis.info("persistence")
        metrics.store_memory.set(memory["used_memory"])
        metrics.store_limit.set(memory.get("maxmemory") or memory.get("total_system_memory", math.nan))
        written = kept.get("aof_last_write_status", "ok") == "ok"
        metrics.store_durable.set(int(bool(kept.get("aof_enabled", 0)) and written))
        metrics.store_events.set(self._archive.count())
        metrics.store_alerts.set(self._archive.alert_count())
        oldest = self._redis.zrange(f"{PREFIX}:events", 0, 0, withscores=True)
        metrics.store_oldest.set(oldest[0][1] / 1000 if oldest else math.nan)
        metrics.store_waiting.set(unpublished_count(self._redis))
        metrics.store_letters.set(self._archive.dead_letter_count())
        names = known_names(self._redis)
        metrics.store_dead.put({(name,): float(Outbox(self._redis, name).dead_count()) for name in names})

    def _look_at_verdicts(self, now: datetime) -> None:
        """Read the verdicts, if there are others than at the last look."""
        said = self._signature(now)
        if said == self._said:
            return
        verdicts = self._feedback.everything()
        counts = Counter(one.verdict for one in verdicts)
        self._metrics.store_verdicts.put({(kind,): float(counts[kind]) for kind in VERDICTS})
        judged = [
            (one.likeness, one.right)
            for one in verdicts
            if one.right is not None and ms_of(one.at) > ms_of(now) - JUDGED_MS
        ]
        self._metrics.stated.set(sum(likeness for likeness, _ in judged) / len(judged) if judged else math.nan)
        self._metrics.right.set(sum(right for _, right in judged) / len(judged) if judged else math.nan)
        self._said = said

    @translated
    def _signature(self, now: datetime) -> str:
        """Changes whenever something was said, and once a day."""
        key = f"{PREFIX}:feedback:index"
        newest = self._redis.zrange(key, -1, -1, withscores=True)
        return f"{self._redis.zcard(key)} {newest} {now.date()}"
