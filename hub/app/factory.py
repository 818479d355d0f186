"""Build the components of a hub from settings, for `hub.app.hub`, the hub's commands, replays and tests.

PyTorch takes a second to import. Functions that open networks import it, so that other commands start fast.
Components that handle events need it always: `hub.app.event_factory` builds these.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hub.alerting.feedback import FeedbackService
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.source_recurrence import SourceHistories
from hub.alerting.threshold_tuner import ThresholdTuner, TuningRule
from hub.domain.alert_rule import AlertRule
from hub.domain.limits import LimitRule
from hub.domain.sensor_map import SensorMap
from hub.search.backend import Backend
from hub.settings import AlertsSettings, HubSettings, SitesSettings
from hub.store.audio_files import AudioFileStore
from hub.store.dead_letters import Limits
from hub.store.events import EventStore
from hub.store.limit_files import read_limit_rules
from hub.store.sensor_signals import SilenceThresholds
from hub.store.source_verdicts import SourceVerdicts
from hub.store.stores import Stores
from shared.backbones import register_backbone, resolve_space
from shared.errors import InvalidError
from shared.extractor import FeatureExtractor
from shared.feature_space import SHORT_NAMES
from shared.paths import expanded

if TYPE_CHECKING:
    from hub.search.retrieval import Retrieval
    from hub.search.scoring.scorer import Scorer

log = logging.getLogger(__name__)


def build_stores(settings: HubSettings) -> Stores:
    """Return the stores of these settings, without connecting to Redis."""
    folder = settings.store.audio_dir
    return Stores.of(build_event_store(settings), AudioFileStore(folder) if folder else None)


def build_limit_rules(settings: HubSettings) -> list[LimitRule]:
    """Return the rules of these settings, sorted by name.

    Raises:
        InvalidError: a rule file, a folder or the name of an example is wrong.
        UnavailableError: a file cannot be read.
    """
    return read_limit_rules(settings.limits.folder, settings.limits.examples)


def build_event_store(settings: HubSettings) -> EventStore:
    """Return the event store of these settings, without connecting to Redis."""
    return EventStore(
        settings.redis.url.get_secret_value(),
        timeout_s=settings.redis.timeout_s,
        ca_file=settings.redis.ca_file,
        limits=Limits(settings.store.max_dead_letters, settings.store.max_dead_letter_bytes),
        ear=SilenceThresholds(
            settings.monitoring.silence_db, settings.monitoring.silence_dbfs, settings.monitoring.min_level_change_db
        ),
    )


def build_retrieval(settings: HubSettings) -> "Retrieval":
    """Return retrieval with the configured checkpoints, and the shipped ones of other feature spaces.

    An index in memory is still empty.

    Raises:
        InvalidError: a description or a checkpoint cannot be used, two checkpoints have one feature space, or Redis
            lacks the query engine that `search.backend` requires.
    """
    from hub.model.checkpoint import default_checkpoint, load
    from hub.search.retrieval import Retrieval
    from hub.search.scoring.scorer import Scorer

    for description in settings.features.extra_backbones:
        register_backbone(description)
    if settings.features.space is not None:
        resolve_space(settings.features.space)
    configured = [Scorer(load(path)) for path in settings.model.checkpoints]
    spaces = [scorer.space.id for scorer in configured]
    if len(set(spaces)) < len(spaces):
        raise InvalidError(f"model.checkpoints: more than one checkpoint for a feature space: {spaces}")
    shipped = [Scorer(load(default_checkpoint(space))) for space in SHORT_NAMES.values() if space not in spaces]
    return Retrieval([*configured, *shipped], partial(_backend, settings))


def _backend(settings: HubSettings, scorer: "Scorer") -> Backend:
    from hub.search.candidates import CandidateTuner
    from hub.search.memory.index import MemoryIndex
    from hub.search.redis_backend import RedisSearchBackend

    search = settings.search
    if search.backend == "redis" and scorer.sketch is None:
        log.warning("index kept in memory, as the network has no sketch", extra={"space": scorer.space.id})
    if search.backend == "memory" or scorer.sketch is None:
        return MemoryIndex(
            scorer, partial(CandidateTuner, search.target_recall, scorer.candidates, search.candidates)
        )
    return RedisSearchBackend(
        settings.redis.url.get_secret_value(),
        scorer,
        candidates=search.candidates or scorer.candidates,
        timeout_s=settings.redis.timeout_s,
        ca_file=settings.redis.ca_file,
    )


def build_alert_rule(settings: HubSettings) -> AlertRule:
    """Return the alert rule of these settings."""
    alerts = settings.alerts
    return AlertRule(
        min_presence=alerts.min_category_probability,
        min_shared=alerts.min_shared_probability,
        threshold=alerts.default_threshold,
        min_above_ambient_db=alerts.min_above_ambient_db,
        exclude_same_sensor_s=settings.search.exclude_same_sensor_s,
        max_matches=alerts.max_matches,
        gap_s=settings.episodes.max_gap_s,
        cooldown_s=alerts.cooldown_s,
        rhythm=alerts.min_recurrence_probability,
        others_per_day=alerts.max_false_alerts_per_day,
    )


def build_threshold_tuner(settings: AlertsSettings, stores: Stores) -> ThresholdTuner:
    """Return the threshold tuner of these settings."""
    rule = TuningRule(
        max_false_alerts_per_day=settings.max_false_alerts_per_day,
        start=settings.default_threshold,
        history_days=settings.threshold_history_days,
        cooldown_s=settings.cooldown_s,
    )
    return ThresholdTuner(stores.events, stores.episodes, rule)


def build_feedback(stores: Stores, tuner: ThresholdTuner) -> FeedbackService:
    """Return the service that takes verdicts; they also join and part sources."""
    return FeedbackService(stores.episodes, tuner, SourceVerdicts(stores.sources, stores.episodes))


def build_recurrence(settings: HubSettings, stores: Stores, places: SensorMap) -> RecurrenceService:
    """Return the service that finds when categories recur."""
    return RecurrenceService(stores.episodes, places, settings.store.retention_days, settings.alerts.cooldown_s)


def build_source_histories(settings: HubSettings, stores: Stores, places: SensorMap) -> SourceHistories:
    """Return the service that finds when sources recur."""
    return SourceHistories(
        stores.sources, stores.episodes, places, settings.store.retention_days, settings.alerts.cooldown_s
    )


def build_sensor_map(settings: SitesSettings) -> SensorMap:
    """Return the sensor map of these settings."""
    return SensorMap(settings.sensor_positions, settings.neighbour_radius_m, ZoneInfo(settings.timezone))


def build_extractor(settings: HubSettings, retrieval: "Retrieval") -> tuple[FeatureExtractor, str]:
    """Return the extractor of audio features, and a sentence with its feature space and the reason for the choice.

    Raises:
        InvalidError: no checkpoint scores the feature space of audio clips.
    """
    from hub.features.selection import load_extractor, select_space

    weights_dir = expanded(settings.features.vggish_weights_dir)
    choice = select_space(settings.features.space, weights_dir)
    if choice.space.id not in retrieval.spaces:
        raise InvalidError(f"model.checkpoints has no checkpoint for feature space {choice.space.id} of audio clips")
    return load_extractor(choice.space.id, weights_dir), choice.reason
