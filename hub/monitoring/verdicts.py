"""A look at what people said of alerts: how much of it there is, and whether alerts are as sure as they are right."""

import math
from collections import Counter
from datetime import datetime
from typing import Final

from hub.alerting.feedback import FeedbackService
from hub.domain.records import to_ms
from hub.metrics.definitions import VERDICTS, HubMetrics
from hub.store import keys
from hub.store.events import EventStore, translated

JUDGED_MS: Final = 30 * 86_400_000
"""Verdicts of so long say how well likeness is calibrated, in ms."""


class VerdictProbe:
    """Reads the verdicts, if there are others than at the last look, and tells.

    Args:
        archive: in whose store they are.
        feedback: what people said.
        metrics: where it is told.
    """

    def __init__(self, archive: EventStore, feedback: FeedbackService, metrics: HubMetrics) -> None:
        self._redis = archive.client
        self._feedback = feedback
        self._metrics = metrics
        self._said = ""

    def run(self, now: datetime) -> None:
        """Tell how many there are of each kind, and of the judged alerts how sure they were and how many were right.

        Raises:
            Unavailable: the store is away.
        """
        said = self._signature(now)
        if said == self._said:
            return
        verdicts = self._feedback.all()
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
        self._said = said

    def on_store_unavailable(self) -> None:
        """Nothing: what was said stays said."""

    @translated
    def _signature(self, now: datetime) -> str:
        """Changes whenever something was said, and once a day."""
        newest = self._redis.zrange(keys.VERDICT_TIMES, -1, -1, withscores=True)
        return f"{self._redis.zcard(keys.VERDICT_TIMES)} {newest} {now.date()}"
