"""The hub's parts that the web application uses, and the hub's health."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from hub.alerting.explanation import MatchExplainer
from hub.alerting.feedback import FeedbackService
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.source_recurrence import SourceHistories
from hub.commands.command_service import CommandService
from hub.domain.limits import LimitRule
from hub.domain.sensor_map import SensorMap
from hub.metrics.definitions import HubMetrics
from hub.runtime.health_probes import Probes
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.accounts_file import AccountsFile
from hub.store.audit_log import AuditLog
from hub.store.clip_levels import ClipLevels
from hub.store.day_level_queries import DayLevelQueries
from hub.store.episodes import EpisodeStore
from hub.store.event_queries import EventQueries
from hub.store.events import EventStore
from hub.store.exceedances import ExceedanceStore
from hub.store.level_bands import BandStore
from hub.store.level_offsets import LevelOffsets
from hub.store.level_statistics import LevelStatistics
from hub.store.levels import LevelStore
from hub.store.named_sounds import NamedSounds
from hub.store.period_queries import PeriodQueries
from hub.store.sessions import SessionStore
from hub.store.sources import SourceStore
from hub.web.access import AccessControl
from shared.extractor import FeatureExtractor
from shared.worker import Worker


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """The hub's health, as `/healthz` reports it.

    Attributes:
        broker: whether the broker is connected and the subscription granted, or the hub drains before it reconnects.
        store: whether the store answers.
        events: number of archived events; 0 if the store is unavailable.
        dead_letters: number of stored dead letters; 0 if the store is unavailable.
        retention: "ok", or why the hub removes nothing by age.
        live: whether the process works; a restart helps if not.
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
        """Return whether broker and store are available and there is no other reason against."""
        return self.broker and self.store and not self.reasons


@dataclass(frozen=True)
class WebContext:
    """The hub's parts that pages and API use.

    Attributes:
        archive: events, alerts and sensors.
        episode_store: episodes and thresholds.
        retrieval: finds similar events.
        extractor: turns an uploaded recording into features.
        metrics: counters and timings.
        health: computes the health; every request of `/healthz` calls it.
        settings: the hub's settings, for the page of settings.
        feedback: stores verdicts.
        patterns: recurrence of a category at a sensor.
        sources: episodes by source (one machine, dog, siren or voice).
        histories: recurrence of one source.
        explainer: explains why events match.
        places: positions and time zone of sensors.
        names: named sounds.
        name_matcher: finds the named sound of an event.
        commands: sends commands to sensors, and keeps their replies.
        limits: rules by which levels are judged, sorted by name.
        stopping: set when the hub stops; streams end then.
        probes: faults that `/healthz/live` reports.
        workers: threads that must run; the live feed adds its own.
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
    commands: CommandService
    limits: Sequence[LimitRule] = ()
    stopping: threading.Event = field(default_factory=threading.Event)
    probes: Probes = field(default_factory=Probes)
    workers: list[Worker] = field(default_factory=list)

    @cached_property
    def levels(self) -> LevelStore:
        """Return the levels of seconds."""
        return LevelStore(self.archive.client, self.archive.rows)

    @cached_property
    def access(self) -> AccessControl | None:
        """Return users, tokens and sessions; None if pages need no login."""
        web = self.settings.web
        if web.users_file is None:
            return None
        client = self.archive.client
        return AccessControl(
            AccountsFile(web.users_file.expanduser()),
            SessionStore(client, web.session_hours * 3600),
            AuditLog(client, self.settings.hub.name, timedelta(days=web.audit_days)),
        )

    @cached_property
    def level_bands(self) -> BandStore:
        """Return the one-third-octave bands of sensors."""
        return BandStore(self.archive.client, self.archive.rows)

    @cached_property
    def level_offsets(self) -> LevelOffsets:
        """Return the corrections of level series of sensors with wrong clocks."""
        return LevelOffsets(self.archive.client, self.archive.rows)

    @cached_property
    def level_statistics(self) -> LevelStatistics:
        """Return the statistics of the levels of hours and minutes."""
        return LevelStatistics(self.archive.client, self.archive.rows)

    @cached_property
    def day_levels(self) -> DayLevelQueries:
        """Return the queries for levels of days and nights."""
        return DayLevelQueries(self.level_statistics, self.places.timezone)

    @cached_property
    def periods(self) -> PeriodQueries:
        """Return the queries for levels of periods that are compared."""
        return PeriodQueries(self.levels, self.level_statistics, self.places.timezone)

    @cached_property
    def clip_levels(self) -> ClipLevels:
        """Return the levels of clips."""
        return ClipLevels(self.archive.client, self.archive.rows)

    @cached_property
    def exceedances(self) -> ExceedanceStore:
        """Return the exceedances of limits."""
        return ExceedanceStore(self.archive.client, self.archive.rows)

    @cached_property
    def catalogue(self) -> EventQueries:
        """Return the queries for lists of events."""
        return EventQueries(self.archive)
