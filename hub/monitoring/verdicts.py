"""Probe of the verdicts on alerts: their number, and the calibration of match probabilities."""

import math
from collections import Counter
from datetime import datetime
from typing import Final

from hub.alerting.feedback import FeedbackService
from hub.domain.records import to_ms
from hub.metrics.definitions import HubMetrics
from hub.metrics.sensor_definitions import VERDICTS
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.events import EventStore

JUDGED_MS: Final = 30 * 86_400_000
"""Age of the verdicts that measure the calibration of match probabilities, in ms."""


class VerdictProbe:
    """Reads the verdicts if they changed since the last run, and exports the results.

    Args:
        archive: the event store.
        feedback: source of verdicts.
        metrics: the hub's metrics.
    """

    def __init__(self, archive: EventStore, feedback: FeedbackService, metrics: HubMetrics) -> None:
        self._redis = archive.client
        self._feedback = feedback
        self._metrics = metrics
        self._last_signature = ""

    def run(self, now: datetime) -> None:
        """Export the number of verdicts of each kind, and mean match probability and precision of judged alerts.

        Raises:
            UnavailableError: Redis does not answer.
        """
        signature = self._signature(now)
        if signature == self._last_signature:
            return
        verdicts = self._feedback.stored.all()
        counts = Counter(one.verdict for one in verdicts)
        self._metrics.store_verdicts.replace_all({(kind,): float(counts[kind]) for kind in VERDICTS})
        judged = [
            (one.match_probability, one.hub_was_right)
            for one in verdicts
            if one.hub_was_right is not None and to_ms(one.at) > to_ms(now) - JUDGED_MS
        ]
        self._metrics.judged.set(len(judged))
        self._metrics.stated.set(
            sum(match_probability for match_probability, _ in judged) / len(judged) if judged else math.nan
        )
        self._metrics.right.set(sum(right for _, right in judged) / len(judged) if judged else math.nan)
        self._last_signature = signature

    def on_store_unavailable(self) -> None:
        """Keep the last values."""

    @raises_unavailable
    def _signature(self, now: datetime) -> str:
        """Return a text that changes with every new or withdrawn verdict, and once a day."""
        times = self._redis.zrange(keys.VERDICT_TIMES, 0, -1, withscores=True)
        return f"{hash(tuple(times))} {now.date()}"
