"""A hub without broker, web and clock: events pass its pipeline as fast as it processes them.

The capture times of the events replace the clock: the hub tunes thresholds, enriches alerts and takes verdicts at
these times.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry

from hub.app.event_factory import build_enricher, build_pipeline
from hub.app.factory import (
    build_extractor,
    build_feedback,
    build_recurrence,
    build_retrieval,
    build_sensor_map,
    build_stores,
    build_threshold_tuner,
)
from hub.domain.records import to_ms
from hub.domain.thresholds import Threshold
from hub.ingest.capture_times import ClockRules
from hub.ingest.messages import Outcome
from hub.ingest.pipeline import Recognition
from hub.metrics.definitions import HubMetrics
from hub.runtime.embedded_servers import embedded_servers
from hub.runtime.torch_threads import limit_torch_to_one_thread
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.events import Event
from shared.messages.alert import AlertMessage
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic

DAY_MS: Final = 86_400_000

Verdict = Callable[[AlertMessage], bool]
"""Return whether an alert is right, as a person would judge it."""


class ReplayHub:
    """A hub that replays events, and the alerts and thresholds that result.

    Args:
        settings: settings of the hub.
        verdict: judges each alert; None: no verdicts.

    Attributes:
        episode_store: store of episodes.
        alerts: enriched alerts in order.
        verdict: judges each alert; None: no verdicts.
        completing_ms: time for enriching each alert, ms.
        thresholds: thresholds of the site at the end of each day, by category.

    Raises:
        InvalidError: the settings or a checkpoint cannot be used.
    """

    def __init__(self, settings: HubSettings, verdict: Verdict | None = None) -> None:
        stores, retrieval = build_stores(settings), build_retrieval(settings)
        extractor, _ = build_extractor(settings, retrieval)
        places = build_sensor_map(settings.sites)
        self._archive = stores.events
        self._now = datetime.now().astimezone()
        self._pipeline = build_pipeline(
            settings,
            replace(stores, audio=None),
            Recognition(extractor, retrieval),
            HubMetrics(CollectorRegistry()),
            ClockRules(now=self._capture_time),
        )
        self._tuner = build_threshold_tuner(settings.alerts, stores)
        self._enricher = build_enricher(settings, stores, places, build_recurrence(settings, stores, places))
        self._feedback = build_feedback(stores, self._tuner)
        self.verdict = verdict
        self.episode_store = stores.episodes
        self.alerts: list[AlertMessage] = []
        self.completing_ms: list[float] = []
        self.thresholds: list[dict[str, Threshold]] = []

    def close(self) -> None:
        """Close the connections to Redis."""
        self._archive.close()

    def _capture_time(self) -> datetime:
        return self._now

    def process_batch(self, events: Sequence[Event]) -> None:
        """Store and search a batch of events, raise alerts, take verdicts and tune thresholds.

        Args:
            events: events of one site in order of time, none before those of an earlier batch.

        Raises:
            InvalidError: the hub rejected an event.
        """
        site, self._now = events[-1].site, events[-1].captured_at
        self._close_days(site)
        messages = [(str(SensorTopic(site, event.id.sensor, "event")), encode_event(event)) for event in events]
        for handled in self._pipeline.handle_all(messages):
            if handled.outcome is not Outcome.ARCHIVED:
                raise InvalidError(f"the hub rejected an event: {handled.outcome.value}")
            if handled.alert is not None:
                self._enrich(handled.alert)
        self._tuner.tune_stale()

    def process_all(
        self, batches: Iterable[Sequence[Event]], progress: Callable[[int], None] = lambda _: None
    ) -> float:
        """Process batches one after another, in one thread with one torch thread, as the hub does.

        Args:
            batches: batches as for `process_batch`.
            progress: called with the number of events so far.

        Returns:
            Duration in s.
        """
        started, count = time.monotonic(), 0
        with ThreadPoolExecutor(1, initializer=limit_torch_to_one_thread) as alone:
            for batch in batches:
                alone.submit(self.process_batch, batch).result()
                count += len(batch)
                progress(count)
        return time.monotonic() - started

    def _enrich(self, alert: AlertMessage) -> None:
        started = time.perf_counter()
        enriched = self._enricher.enrich([alert])[0]
        self.completing_ms.append(1000 * (time.perf_counter() - started))
        self.alerts.append(enriched)
        if self.verdict is not None:
            right = self.verdict(enriched)
            self._feedback.submit(
                alert=enriched, match=None, verdict="same" if right else "different", now=alert.captured_at
            )

    def _close_days(self, site: str) -> None:
        times = self.episode_store.observed_range(site)
        if times is not None:
            days = (to_ms(self._now) // DAY_MS) - (times[0] // DAY_MS)
            while len(self.thresholds) < days:
                self.thresholds.append(self.episode_store.thresholds.of(site))


@contextlib.contextmanager
def replay_hub(settings: HubSettings, verdict: Verdict | None = None) -> Iterator[ReplayHub]:
    """Open a hub with its own, empty Redis.

    Args:
        settings: settings of the hub; the address of Redis is ignored.
        verdict: judges each alert; None: no verdicts.

    Raises:
        InvalidError: the settings or a checkpoint cannot be used.
    """
    with embedded_servers() as servers:
        redis = settings.redis.model_copy(update={"url": type(settings.redis.url)(servers.redis_url)})
        with contextlib.closing(ReplayHub(settings.model_copy(update={"redis": redis}), verdict)) as replay:
            yield replay
