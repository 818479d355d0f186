"""The hub: build its components, start them, and stop them."""

import logging
import threading
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from hub.alerting.explanation import MatchExplainer
from hub.alerting.name_matching import NameMatcher
from hub.app.event_factory import (
    build_consumer,
    build_enricher,
    build_enrichment,
    build_pipeline,
    build_shadow_model,
    build_source_filer,
)
from hub.app.factory import (
    build_alert_rule,
    build_extractor,
    build_feedback,
    build_limit_rules,
    build_recurrence,
    build_retrieval,
    build_sensor_map,
    build_source_histories,
    build_stores,
    build_threshold_tuner,
)
from hub.app.health import HubHealth
from hub.app.levels import LevelService
from hub.app.limits import LimitService
from hub.app.maintenance import Maintenance
from hub.app.monitor_factory import build_monitor
from hub.app.recall import monitor_recall
from hub.app.retention import Retention
from hub.commands.command_service import CommandService
from hub.ingest.capture_times import ClockRules
from hub.ingest.pipeline import Recognition
from hub.integrations.homeassistant.publisher import HomeAssistantPublisher
from hub.metrics.definitions import HubMetrics
from hub.monitoring.clocks import ClockProbe
from hub.notify.service import NotificationService, destinations_of
from hub.runtime.torch_threads import settle, shorten_switch_interval
from hub.search.follower import IndexFollower, build_index
from hub.search.memory.persistence import IndexSnapshot
from hub.settings import HubSettings
from hub.store.client import hinted
from hub.store.schema import migrate
from hub.store.time_correction import Mender
from hub.web.access import require_users
from hub.web.app import create_app
from hub.web.context import HealthStatus, WebContext
from hub.web.server import Server
from shared.errors import UnavailableError

log = logging.getLogger(__name__)


class Hub:
    """A running hub.

    Args:
        settings: all settings.

    Raises:
        InvalidError: settings, a checkpoint or a Redis server that cannot be used.
    """

    def __init__(self, settings: HubSettings) -> None:
        require_users(settings.web.host, settings.web.users_file)
        self._settings = settings
        self._stopping = threading.Event()
        self._metrics = HubMetrics(CollectorRegistry())
        self._stores = build_stores(settings)
        self._archive = self._stores.events
        self._retrieval = build_retrieval(settings)
        self._extractor, reason = build_extractor(settings, self._retrieval)
        log.info(reason)
        self._places = build_sensor_map(settings.sites)
        self._clock = ClockProbe(self._archive, self._metrics, timedelta(seconds=settings.clock.tolerance_s))
        self._name_matcher = NameMatcher(self._stores.names, self._retrieval)
        tuner = build_threshold_tuner(settings.alerts, self._stores)
        self._feedback = build_feedback(self._stores, tuner)
        recognition = Recognition(self._extractor, self._retrieval, self._name_matcher)
        clock = ClockRules(timedelta(seconds=settings.clock.tolerance_s), self._clock.current_doubts)
        pipeline = build_pipeline(settings, self._stores, recognition, self._metrics, clock)
        self._intake = build_consumer(settings, pipeline, self._archive, self._metrics)
        self._recall = monitor_recall(
            settings.search.recall_sample_rate, self._retrieval, self._metrics, self._intake
        )
        self._build_alerting()
        folder = settings.search.snapshot_dir
        self._snapshots = [IndexSnapshot(folder, index) for index in self._retrieval.indexes] if folder else []
        retention = Retention(self._stores, self._retrieval, self._metrics)
        self._maintenance = Maintenance(settings, retention, self._clock, tuner, self._snapshots)
        self._observed = build_monitor(
            settings, self._stores, self._feedback, self._retrieval, self._metrics, self._clock
        )
        self._announcer = HomeAssistantPublisher(
            self._stores,
            settings=settings.homeassistant,
            mqtt=settings.mqtt,
            hub=settings.hub.name,
            public_url=settings.web.public_url,
        )
        self._commands = CommandService(self._archive, settings.mqtt, settings.hub.name)
        self._levels = LevelService(settings, self._archive, self._metrics, self._clock)
        self._rules = build_limit_rules(settings)
        self._limits = LimitService(settings, self._rules, self._archive, self._metrics, self._clock)
        self._workers = [
            *self._maintenance.workers,
            *self._intake.workers,
            *self._observed.workers,
            *self._notifications.workers,
            self._announcer.worker,
            self._commands.worker,
            *self._levels.workers,
            self._limits.worker,
            self._recall.worker,
            self._filer.worker,
        ]
        self._health = HubHealth(settings, self._archive, self._intake, self._observed, self._workers)
        self._metrics.worker_restarts.set_function(self._health.restarts)

    def _build_alerting(self) -> None:
        """Build what enriches, explains and sends alerts."""
        settings, stores = self._settings, self._stores
        self._patterns = build_recurrence(settings, stores, self._places)
        self._histories = build_source_histories(settings, stores, self._places)
        self._explainer = MatchExplainer(self._retrieval, stores.episodes, build_alert_rule(settings))
        self._filer = build_source_filer(settings, stores, self._retrieval, self._metrics)
        shadow = build_shadow_model(settings, stores, self._metrics)
        enricher = build_enricher(settings, stores, self._places, self._patterns, shadow)
        self._notifications = NotificationService(
            self._archive.client,
            destinations_of(settings),
            settings.hub.name,
            self._metrics,
            build_enrichment(stores, enricher, self._filer, self._histories),
        )

    def run(self) -> None:
        """Run until `stop`: serve HTTP, wait for Redis, load the index, receive events.

        Pages and metrics are available from the start, so that they can report an unavailable Redis.

        Raises:
            InvalidError: the Redis server cannot be used.
            UnavailableError: the web address cannot be bound, or Redis failed while the index was loaded.
        """
        web = self._settings.web
        server = Server(create_app(self._web_context()), web.host, web.port, web.trusted_proxies)
        self._metrics.indexed.set_function(self._retrieval.__len__)
        server.start()
        self._observed.start()
        try:
            self._wait_for_store()
            if not self._stopping.is_set():
                migrate(self._archive)
                self._clock.run(datetime.now(UTC))
                if not self._clock.doubts.clock:
                    Mender(self._archive).mend(
                        datetime.now(UTC) + timedelta(seconds=self._settings.clock.tolerance_s)
                    )
                self._run_ingest(build_index(self._archive, self._retrieval, self._snapshots))
        finally:
            self._stopping.set()
            self._observed.stop()
            server.stop()
            self._archive.close()

    def _run_ingest(self, after: str) -> None:
        """Receive events until `stop`; `after` is the position in the change log up to which the index is loaded."""
        self._maintenance.start()
        follower = None if self._retrieval.is_remote else IndexFollower(self._archive, self._retrieval, after)
        if follower is not None:
            self._workers.append(follower.worker)
            follower.start()
            self._recall.start()
        self._observed.start_heartbeat()
        self._filer.worker.start()
        self._notifications.start()
        self._announcer.start()
        self._commands.start()
        self._levels.start()
        self._limits.start()
        shorten_switch_interval()
        settle()
        try:
            self._intake.run()
        finally:
            self._stopping.set()
            self._observed.stop_heartbeat()
            self._notifications.stop()
            self._filer.worker.stop()
            self._announcer.stop()
            self._commands.stop()
            self._levels.stop()
            self._limits.stop()
            self._maintenance.stop()
            if follower is not None:
                follower.stop()
                self._recall.stop()
            self._maintenance.save_snapshots()

    def _web_context(self) -> WebContext:
        """Return the components that pages and API use."""
        return WebContext(
            archive=self._archive,
            episode_store=self._stores.episodes,
            retrieval=self._retrieval,
            extractor=self._extractor,
            metrics=self._metrics,
            health=self.health,
            settings=self._settings,
            feedback=self._feedback,
            patterns=self._patterns,
            sources=self._stores.sources,
            histories=self._histories,
            explainer=self._explainer,
            places=self._places,
            names=self._stores.names,
            name_matcher=self._name_matcher,
            commands=self._commands,
            limits=self._rules,
            stopping=self._stopping,
            probes=self._health.probes,
            workers=self._workers,
        )

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()
        self._intake.stop()

    def health(self) -> HealthStatus:
        """Return the current state of the hub's connections."""
        return self._health.status()

    def _wait_for_store(self) -> None:
        wait_s = 0.5
        while not self._stopping.is_set():
            try:
                fitness = self._archive.verify(durable=self._settings.redis.durable == "local")
            except UnavailableError as error:
                reason = hinted(str(error), self._settings.redis.url.get_secret_value())
                log.warning("waiting for Redis", extra={"reason": reason})
                self._stopping.wait(wait_s)
                wait_s = min(10.0, wait_s * 2)
            else:
                for doubt in fitness.doubts:
                    log.warning("Redis needs attention", extra={"store": fitness.name, "reason": doubt})
                return
