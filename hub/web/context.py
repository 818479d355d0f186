"""What the web application is made of: the hub's parts it reads, and how the hub says that it is well."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from hub.alerting.explanation import MatchExplainer
from hub.alerting.feedback import FeedbackService
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.source_recurrence import SourceHistories
from hub.domain.sensor_map import SensorMap
from hub.metrics.definitions import HubMetrics
from hub.runtime.health_probes import Probes
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.episodes import EpisodeStore
from hub.store.event_queries import EventQueries
from hub.store.events import EventStore
from hub.store.named_sounds import NamedSounds
from hub.store.sources import SourceStore
from shared.extractor import FeatureExtractor
from shared.worker import Worker


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """What `/healthz` tells: whether the hub can do its work.

    Attributes:
        broker: connected and granting events, or draining before it connects again.
        store: it answers.
        events: events archived; 0 if the store is away.
        dead_letters: dead letters that wait; 0 if the store is away.
        retention: "ok", or why nothing is removed by age.
        live: whether the process works; if not, a restart helps.
        reasons: why the hub is not ready, in sentences.
    """

    broker: bool
    store: bool
    events: int
    dead_letters: int
    retention: str = "ok"
    live: bool = True
    reasons: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Broker and store are both there, and nothing else is wrong."""
        return self.broker and self.store and not self.reasons


@dataclass(frozen=True)
class WebContext:
    """The hub's parts that pages and API are made of.

    Attributes:
        archive: events, alerts, sensors.
        episode_store: episodes and thresholds.
        retrieval: finds similar events.
        extractor: turns an uploaded recording into features.
        metrics: counters and timings.
        health: asked anew by every caller of `/healthz`.
        settings: all of them, for the page that shows them.
        feedback: takes verdicts.
        patterns: what recurs.
        sources: which episodes are of one machine, dog, siren or voice.
        histories: what recurs of one source.
        explainer: why events match.
        places: where sensors are, and what time it is there.
        names: sounds that people gave names to.
        name_matcher: which of them an event is.
        stopping: set when the hub ends: what waits for news ends then.
        probes: what `/healthz/live` goes by.
        workers: threads that must live; the live feed adds its own.
    """

    archive: EventStore
    episode_store: EpisodeStore
    retrieval: Retrieval
    extractor: FeatureExtractor
    metrics: HubMetrics
    health: Callable[[], HealthStatus]
    settings: HubSettings
    feedback: FeedbackService
    patterns: RecurrenceService
    sources: SourceStore
    histories: SourceHistories
    explainer: MatchExplainer
    places: SensorMap
    names: NamedSounds
    name_matcher: NameMatcher
    stopping: threading.Event = field(default_factory=threading.Event)
    probes: Probes = field(default_factory=Probes)
    workers: list[Worker] = field(default_factory=list)

    @cached_property
    def catalogue(self) -> EventQueries:
        """Lists of the archive's events."""
        return EventQueries(self.archive)
