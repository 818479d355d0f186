"""The hub as a whole: its parts put together, started, kept tidy and stopped."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from hub.alerting.detector import Judge
from hub.alerting.enrichment import Completer
from hub.alerting.explanation import Explainer
from hub.alerting.feedback import Feedback
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import Patterns
from hub.alerting.shadow import Shadow
from hub.alerting.source_enrichment import SourceCompleter
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import learner_of, open_archive, open_audio, open_retrieval, places_of, rule_of
from hub.app.retention import Retention
from hub.domain.named_sounds import NamedSound
from hub.domain.sources import SourceRule
from hub.ingest.consumer import Intake
from hub.ingest.pipeline import Pipeline
from hub.ingest.subscription import LITERAL
from hub.integrations.homeassistant.publisher import Announcer
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import load
from hub.monitoring.clocks import ClockLook
from hub.monitoring.monitor import Observed
from hub.notify.service import WaysOut
from hub.runtime.health_probes import Probes, ended, stalled
from hub.runtime.time_limit import Bounded
from hub.runtime.torch_threads import settle, yield_early
from hub.search.follower import Follower, fill
from hub.search.memory.persistence import Snapshots
from hub.search.recall_monitor import RecallWatch
from hub.search.scoring.scorer import Scorer
from hub.settings import HubSettings
from hub.store.audio_files import Clips
from hub.store.client import hinted
from hub.store.episodes import Casebook
from hub.store.event_queries import Catalogue
from hub.store.named_sounds import NamedSounds
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from hub.store.time_correction import Mender
from hub.web.app import create_app
from hub.web.context import Health, Parts
from hub.web.server import Server
from shared.errors import Unavailable
from shared.messages import AlertMessage
from shared.worker import Worker, every

log = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 60.0
ASKED_S: Final = 2.0
"""Longest wait for the store of whoever asks how the hub is; probes give up after a few seconds."""


class Hub:
    """A running hub.

    Args:
        settings: all of them.

    Raises:
        Invalid: settings, checkpoint or store that must not be used.
    """

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._archive = open_archive(settings)
        self._retrieval = open_retrieval(settings)
        self._extractor, reason = open_audio(settings, self._retrieval)
        log.info(reason)
        self._metrics = HubMetrics(CollectorRegistry())
        folder = settings.search.snapshot_dir
        self._snapshots = [Snapshots(folder, index) for index in self._retrieval.indexes] if folder else []
        self._recall = self._watched(settings.search.measured_share)
        self._clock = ClockLook(self._archive, self._metrics, timedelta(seconds=settings.clock.tolerance_s))
        self._clips = Clips(settings.archive.clips_dir) if settings.archive.clips_dir else None
        self._numbers = Bounded(self._archive.numbers, ASKED_S, "the store")
        self._casebook = Casebook(self._archive)
        self._names = NamedSounds(self._archive, self._clips)
        self._name_matcher = NameMatcher(self._names, self._retrieval)
        self._sources = SourceStore(self._archive, self._casebook)
        self._retention = Retention(
            self._archive, self._casebook, self._sources, self._retrieval, self._clips, self._metrics
        )
        self._places = places_of(settings.places)
        self._patterns = Patterns(
            self._casebook, self._places, settings.archive.retention_days, settings.flagging.cooldown_s
        )
        flagging, rule = settings.flagging, rule_of(settings.flagging)
        self._learner = learner_of(flagging, self._archive, self._casebook)
        self._feedback = Feedback(
            self._archive, self._casebook, self._learner, SourceVerdicts(self._sources, self._casebook)
        )
        self._explainer = Explainer(self._retrieval, self._casebook, rule)
        self._completer = Completer(
            self._casebook,
            self._patterns,
            self._places,
            rule,
            urgent_above_db=flagging.urgent_above_db,
            shadow=self._candidate(settings.model.shadow),
        )
        self._filer = SourceFiler(
            self._archive, self._sources, self._retrieval, SourceRule(settings.sources.join), self._metrics
        )
        self._histories = SourceHistories(
            self._sources, self._casebook, self._places, settings.archive.retention_days, flagging.cooldown_s
        )
        sourced = SourceCompleter(self._filer, self._sources, self._histories)
        pipeline = Pipeline(
            archive=self._archive,
            retrieval=self._retrieval,
            extractor=self._extractor,
            judge=Judge(self._casebook, self._places, rule, settings.archive.retention_days, self._count_name),
            metrics=self._metrics,
            clips=self._clips,
            names=self._name_matcher,
            tolerance=timedelta(seconds=settings.clock.tolerance_s),
            doubts=lambda: self._clock.doubts,
        )
        self._intake = Intake(
            settings=settings.mqtt,
            client_id=f"earwitness-hub-{settings.hub.name}",
            group=settings.hub.group,
            capacity=settings.intake.capacity,
            capacity_bytes=settings.intake.capacity_bytes,
            pipeline=pipeline,
            metrics=self._metrics,
            hub=settings.hub.name,
            beats=settings.health.heartbeat_s > 0,
            sync=self._archive.wait_for_disk if settings.redis.durable == "local" else None,
        )
        self._observed = Observed(
            settings, self._archive, self._casebook, self._feedback, self._retrieval, self._metrics, self._clock
        )
        self._ways = WaysOut(
            self._archive.client,
            mqtt=settings.mqtt,
            notify=settings.notify,
            zone=ZoneInfo(settings.places.timezone),
            hub=settings.hub.name,
            metrics=self._metrics,
            complete=lambda alert: sourced.complete(self._completer.complete(alert)),
        )
        self._announcer = Announcer(
            self._archive,
            self._casebook,
            settings=settings.homeassistant,
            mqtt=settings.mqtt,
            hub=settings.hub.name,
            page_url=settings.notify.page_url,
        )
        self._tidiers = [
            Worker("retention", every(TIDY_EVERY_S, lambda: self._remove_old(self._retention.expire))),
            Worker("clips", every(TIDY_EVERY_S, lambda: self._remove_old(self._retention.sweep)), cap_s=TIDY_EVERY_S),
            Worker("learning", every(TIDY_EVERY_S, self._learn)),
            Worker("snapshots", every(settings.search.snapshot_every_s, self._save)),
        ]
        self._workers = [
            *self._tidiers,
            *self._intake.workers,
            *self._observed.workers,
            *self._ways.workers,
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
        self._probes.add("archiving", lambda: stalled(self._intake.stalled_s, settings.health.stalled_s))

    def _count_name(self, sound: NamedSound) -> None:
        self._metrics.named.labels(sound.treatment.mode).inc()

    def _candidate(self, path: Path | None) -> Callable[[AlertMessage], float | None]:
        """What a candidate network, if there is one, states of an alert; counted."""
        if path is None:
            return lambda _: None
        shadow = Shadow(self._archive, Scorer(load(path)))

        def stated(alert: AlertMessage) -> float | None:
            likeness = shadow.likeness(alert)
            if likeness is not None:
                agrees = likeness >= (alert.threshold or 0.0)
                self._metrics.shadow.labels("yes" if agrees else "no").inc()
            return likeness

        return stated

    def run(self) -> None:
        """Work until `stop`: serve HTTP, wait for the store, load the index, take events.

        Pages and metrics are there from the first moment, so that whoever asks is told that the store is away.

        Raises:
            Invalid: the store must not be used.
            Unavailable: the web address cannot be bound, or the store went away while the index was loaded.
        """
        server = Server(create_app(self._parts()), self._settings.web.host, self._settings.web.port)
        self._metrics.indexed.set_function(lambda: len(self._retrieval))
        server.start()
        self._observed.start()
        try:
            self._wait_for_store()
            if not self._stopping.is_set():
                self._clock.look(datetime.now(UTC))
                if not self._clock.doubts.clock:
                    Mender(self._archive).mend(
                        datetime.now(UTC) + timedelta(seconds=self._settings.clock.tolerance_s)
                    )
                self._work(fill(self._archive, self._retrieval, self._snapshots))
        finally:
            self._stopping.set()
            self._observed.stop()
            server.stop()
            self._archive.close()

    def _work(self, after: str) -> None:
        """Take events until `stop`; changes of the archive since a position are not in the index yet."""
        Catalogue(self._archive).complete()
        for tidier in self._tidiers:
            tidier.start()
        follower = None if self._retrieval.shared else Follower(self._archive, self._retrieval, after)
        if follower is not None:
            self._workers.append(follower.worker)
            follower.start()
            self._recall.start()
        self._observed.beat()
        self._filer.worker.start()
        self._ways.start()
        self._announcer.start()
        yield_early()
        settle()
        try:
            self._intake.run()
        finally:
            self._stopping.set()
            self._observed.rest()
            self._ways.stop()
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

    def _parts(self) -> Parts:
        """What pages and API are made of."""
        return Parts(
            archive=self._archive,
            casebook=self._casebook,
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

    def health(self) -> Health:
        """The state of the hub's connections, asked anew."""
        reasons = self._probes.reasons()
        try:
            (events, dead_letters), store = self._numbers(), True
        except Unavailable as error:
            events, dead_letters, store = 0, 0, False
            reasons.append(hinted(str(error), self._settings.redis.url.get_secret_value()))
        refusal = self._intake.problem
        unheard = self._observed.beats_missing and not self._intake.shared_seen
        if refusal is None and unheard and self._intake.connected:
            refusal = LITERAL
        if refusal is not None:
            reasons.append(refusal)
        return Health(
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
            except Unavailable as error:
                reason = hinted(str(error), self._settings.redis.url.get_secret_value())
                log.warning("waiting for the store", extra={"reason": reason})
                self._stopping.wait(wait_s)
                wait_s = min(10.0, wait_s * 2)
            else:
                for doubt in fitness.doubts:
                    log.warning("the store is in doubt", extra={"store": fitness.name, "reason": doubt})
                return

    def _watched(self, share: float) -> RecallWatch:
        """Have searches measured, and told as metrics."""
        for index in self._retrieval.indexes:
            for by in index.scorer.identities.ways:
                self._metrics.watch(index.scorer.space.id, by, index.reaches[by])
        watch = RecallWatch(
            share,
            lambda: self._intake.idle,
            lambda index, gap: self._metrics.gap.labels(index.scorer.space.id).set(gap),
        )
        self._retrieval.answered = watch.offer
        return watch

    def _save(self) -> None:
        for snapshot in self._snapshots:
            try:
                written = snapshot.save()
            except Unavailable as error:
                log.warning("snapshot not written", extra={"reason": str(error)})
            else:
                log.info("snapshot written", extra={"folder": str(snapshot.folder), "files": written})

    def _remove_old(self, remove: Callable[[datetime], None]) -> None:
        if self._clock.may_remove():
            remove(datetime.now(UTC) - timedelta(days=self._settings.archive.retention_days))

    def _learn(self) -> None:
        for site in self._learner.learn_due():
            log.info("thresholds learnt", extra={"site": site})
