"""Time the stages of the pipeline."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hub.ingest.messages import PreparedMessage
from hub.metrics.definitions import HubMetrics, exemplar
from shared.mqtt.topics import HEARTBEAT_SITE


class StageTimer:
    """Exports how long each stage takes.

    Args:
        metrics: of the hub.
    """

    def __init__(self, metrics: HubMetrics) -> None:
        self._metrics = metrics

    @contextmanager
    def __call__(self, name: str, items: Sequence[PreparedMessage] = ()) -> Iterator[list[PreparedMessage]]:
        """Time a stage; its exemplar is the first event of the items that go through it, or are found in it."""
        through, started_s = list(items), time.perf_counter()
        try:
            yield through
        finally:
            ids = (item.event.id for item in through if item.event and item.event.site != HEARTBEAT_SITE)
            first = next((exemplar(one) for one in ids), None)
            self._metrics.stage.labels(name).observe(time.perf_counter() - started_s, first)
