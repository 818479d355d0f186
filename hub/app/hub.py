"""The hub: build its components, start them, and stop them."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from hub.alerting.detector import AlertDetector
from hub.alerting.enrichment import AlertEnricher
from hub.alerting.explanation import MatchExplainer
from hub.alerting.feedback import FeedbackService
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.shadow import ShadowModel
from hub.alerting.source_enrichment import SourceCompleter
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import (
    build_alert_rule,
    build_event_store,
    build_extractor,
    build_retrieval,
    build_sensor_map,
    build_threshold_tuner,
)
from hub.app.retention import Retention
from hub.domain.named_sounds import NamedSound
from hub.domain.sources import SourceRule
from hub.ingest.consumer import MqttConsumer
from hub.ingest.pipeline import Pipeline
from hub.ingest.subscription import LITERAL
from hub.integrations.homeassistant.publisher import HomeAssistantPublisher
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import load
from hub.monitoring.clocks import ClockProbe
from hub.monitoring.monitor import HealthMonitor
from hub.notify.service import NotificationService
from hub.runtime.health_probes import Probes, ended, stalled
from hub.runtime.time_limit import Bounded
from hub.runtime.torch_threads import settle, shorten_switch_interval
from hub.search.follower import IndexFollower, build_index
from hub.search.memory.persistence import IndexSnapshot
from hub.search.recall_monitor import RecallMonitor
from hub.search.scoring.scorer import Scorer
from hub.settings import HubSettings
from hub.store.audio_files import AudioFileStore
from hub.store.client import hinted
from hub.store.episodes import EpisodeStore
from hub.store.event_queries import EventQueries
from hub.store.named_sounds import NamedSounds
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from hub.store.time_correction import Mender
from hub.web.app import create_app
from hub.web.context import HealthStatus, WebContext
from hub.web.server import Server
from shared.errors import UnavailableError
from shared.worker import Worker, every

log = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 60.0
ASKED_S: Final = 2.0
"""Maximum wait for Redis in a health request, in seconds; external probes time out after a few seconds."""


class Hub:
    """A running hub.

    Args:
        settings: all settings.

    Raises:
        InvalidError: settings, a checkpoint or a Redis server that cannot be used.
    """

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._archive = build_event_store(settings)
        self._retrieval = build_retrieval(settings)
        self._extractor, reason = build_extractor(settings, self._retrieval)
        log.info(reason)
        self._metrics = HubMetrics(CollectorRegistry())
        folder = settings.search.snapshot_dir
        self._snapshots = [IndexSnapshot(folder, index) for index in self._retrieval.indexes] if folder else []
        self._recall = self._recall_monitor(settings.search.recall_sample_rate)
        self._clock = ClockProbe(self._archive, self._metrics, timedelta(seconds=settings.clock.tolerance_s))
        self._clips = AudioFileStore(settings.store.audio_dir) if settings.store.audio_dir else None
        self._numbers = Bounded(self._archive.numbers, ASKED_S, "the store")
        self._episode_store = EpisodeStore(self._archive)
        self._names = NamedSounds(self._archive, self._clips)
        self._name_matcher = NameMatcher(self._names, self._retrieval)
        self._sources = SourceStore(self._archive, self._episode_store)
        self._retention = Retention(
            self._archive, self._episode_store, self._sources, self._retrieval, self._clips, self._metrics
        )
        self._places = build_sensor_map(settings.sites)
        self._patterns = RecurrenceService(
            self._episode_store, self._places, settings.store.retention_days, settings.alerts.cooldown_s
        )
        alerts, rule = settings.alerts, build_alert_rule(settings)
        self._learner = build_threshold_tuner(alerts, self._archive, self._episode_store)
        self._feedback = FeedbackService(
            self._archive, self._episode_store, self._learner, SourceVerdicts(self._sources, self._episode_store)
        )
        self._explainer = MatchExplainer(self._retrieval, self._episode_store, rule)
        self._completer = AlertEnricher(
            self._episode_store,
            self._patterns,
            self._places,
            rule,
            urgent_above_ambient_db=alerts.urgent_above_ambient_db,
            shadow=self._shadow_model(settings.model.shadow_checkpoint),
        )
        self._filer = SourceFiler(
            self._archive,
            self._sources,
            self._retrieval,
            SourceRule(settings.sources.min_same_source_probability),
            self._metrics,
        )
        self._histories = SourceHistories(
            self._sources, self._episode_store, self._places, settings.store.retention_days, alerts.cooldown_s
        )
        sourced = SourceCompleter(self._filer, self._sources, self._histories)
        pipeline = Pipeline(
            archive=self._archive,
            retrieval=self._retrieval,
            extractor=self._extractor,
            judge=AlertDetector(
                self._episode_store, self._places, rule, settings.store.retention_days, self._count_name
            ),
            metrics=self._metrics,
            clips=self._clips,
            names=self._name_matcher,
            tolerance=timedelta(seconds=settings.clock.tolerance_s),
            doubts=lambda: self._clock.doubts,
        )
        self._intake = MqttConsumer(
            settings=settings.mqtt,
            client_id=f"earwitness-hub-{settings.hub.name}",
            group=settings.ingest.consumer_group,
            capacity=settings.ingest.max_in_flight,
            capacity_bytes=settings.ingest.max_in_flight_bytes,
            pipeline=pipeline,
            metrics=self._metrics,
            hub=settings.hub.name,
            beats=settings.monitoring.heartbeat_interval_s > 0,
            sync=self._archive.wait_for_disk if settings.redis.durable == "local" else None,
        )
        self._observed = HealthMonitor(
            settings, self._archive, self._episode_store, self._feedback, self._retrieval, self._metrics, self._clock
        )
        self._notifications = NotificationService(
            self._archive.client,
            mqtt=settings.mqtt,
            notify=settings.notify,
            zone=ZoneInfo(settings.sites.timezone),
            public_url=settings.web.public_url,
            hub=settings.hub.name,
            metrics=self._metrics,
            complete=lambda alert: sourced.complete(self._completer.enrich(alert)),
        )
        self._announcer = HomeAssistantPublisher(
            self._archive,
            self._episode_store,
            settings=settings.homeassistant,
            mqtt=settings.mqtt,
            hub=settings.hub.name,
            public_url=settings.web.public_url,
        )
        self._tidiers = [
            Worker("retention", every(TIDY_EVERY_S, lambda: self._remove_old(self._retention.expire))),
            Worker("clips", every(TIDY_EVERY_S, lambda: self._remove_old(self._retention.sweep)), cap_s=TIDY_EVERY_S),
            Worker("learning", every(TIDY_EVERY_S, self._learn)),
            Worker("snapshots", every(settings.search.snapshot_interval_s, self._save)),
        ]
        self._workers = [
            *self._tidiers,
            *self._intake.workers,
            *self._observed.workers,
            *self._notifications.workers,
            self._announcer.worker,
            self._recall.worker,
            self._filer.worker,
        ]
        self._metrics.worker_restarts.set_function(
            lambda: {(worker.name,): float(worker.restarts) for worker in self._workers}
        )
        self._probes = Probes()
        self._probes.add("threads", lambda: ended(self._workers), live=True)
        self._probes.add("broker", self._away)
        self._probes.add("archiving", lambda: stalled(self._intake.stalled_s, settings.monitoring.stalled_after_s))

    def _count_name(self, sound: NamedSound) -> None:
        self._metrics.named.labels(sound.treatment.mode).inc()

    def _shadow_model(self, path: Path | None) -> ShadowModel | None:
        """Return the candidate network, if there is one, whose agreement with alerts the hub counts."""
        return None if path is None else ShadowModel(self._archive, Scorer(load(path)), self._count_shadow)

    def _count_shadow(self, agrees: bool) -> None:
        self._metrics.shadow.labels("yes" if agrees else "no").inc()

    def run(self) -> None:
        """Run until `stop`: serve HTTP, wait for Redis, load the index, receive events.

        Pages and metrics are available from the start, so that they can report an unavailable Redis.

        Raises:
            InvalidError: the Redis server cannot be used.
            UnavailableError: the web address cannot be bound, or Redis failed while the index was loaded.
        """
        server = Server(create_app(self._web_context()), self._settings.web.host, self._settings.web.port)
        self._metrics.indexed.set_function(lambda: len(self._retrieval))
        server.start()
        self._observed.start()
        try:
            self._wait_for_store()
            if not self._stopping.is_set():
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
        EventQueries(self._archive).backfill_indexes()
        for tidier in self._tidiers:
            tidier.start()
        follower = None if self._retrieval.is_remote else IndexFollower(self._archive, self._retrieval, after)
        if follower is not None:
            self._workers.append(follower.worker)
            follower.start()
            self._recall.start()
        self._observed.start_heartbeat()
        self._filer.worker.start()
        self._notifications.start()
        self._announcer.start()
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
            for tidier in self._tidiers:
                tidier.wind_down()
            for tidier in self._tidiers:
                tidier.stop()
            if follower is not None:
                follower.stop()
                self._recall.stop()
            self._save()

    def _web_context(self) -> WebContext:
        """Return the components that pages and API use."""
        return WebContext(
            archive=self._archive,
            episode_store=self._episode_store,
            retrieval=self._retrieval,
            extractor=self._extractor,
            metrics=self._metrics,
            health=self.health,
            settings=self._settings,
            feedback=self._feedback,
            patterns=self._patterns,
            sources=self._sources,
            histories=self._histories,
            explainer=self._explainer,
            places=self._places,
            names=self._names,
            name_matcher=self._name_matcher,
            stopping=self._stopping,
            probes=self._probes,
            workers=self._workers,
        )

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping.set()
        self._intake.stop()

    def health(self) -> HealthStatus:
        """Return the current state of the hub's connections."""
        reasons = self._probes.reasons()
        try:
            (events, dead_letters), store = self._numbers(), True
        except UnavailableError as error:
            events, dead_letters, store = 0, 0, False
            reasons.append(hinted(str(error), self._settings.redis.url.get_secret_value()))
        refusal = self._intake.problem
        no_events = self._observed.beats_missing and not self._intake.shared_seen
        if refusal is None and no_events and self._intake.connected:
            refusal = LITERAL
        if refusal is not None:
            reasons.append(refusal)
        return HealthStatus(
            broker=self._intake.connected and refusal is None,
            store=store,
            events=events,
            dead_letters=dead_letters,
            retention=self._clock.doubts.retention or "ok",
            live=not self._probes.faults(),
            reasons=tuple(reasons),
        )

    def _away(self) -> str:
        mqtt = self._settings.mqtt
        at = f"{mqtt.host}:{mqtt.port}"
        return "" if self._intake.connected else f"The hub is not connected to the broker at {at}."

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
                    log.warning("Redis may lose events", extra={"store": fitness.name, "reason": doubt})
                return

    def _recall_monitor(self, share: float) -> RecallMonitor:
        """Return the monitor that measures the recall of searches and exports it."""
        for index in self._retrieval.indexes:
            for by in index.scorer.identities.ways:
                self._metrics.bind_recall(index.scorer.space.id, by, index.reaches[by])
        watch = RecallMonitor(
            share,
            lambda: self._intake.is_idle,
            lambda index, gap: self._metrics.gap.labels(index.scorer.space.id).set(gap),
        )
        self._retrieval.on_answer = watch.sample
        return watch

    def _save(self) -> None:
        for snapshot in self._snapshots:
            try:
                written = snapshot.save()
            except UnavailableError as error:
                log.warning("snapshot not written", extra={"reason": str(error)})
            else:
                log.info("snapshot written", extra={"folder": str(snapshot.folder), "files": written})

    def _remove_old(self, remove: Callable[[datetime], None]) -> None:
        if self._clock.may_remove():
            remove(datetime.now(UTC) - timedelta(days=self._settings.store.retention_days))

    def _learn(self) -> None:
        for site in self._learner.tune_stale():
            log.info("thresholds tuned", extra={"site": site})
