"""The parts of a hub, opened as the settings say; the hub's commands use them one by one, `hub.app.hub` all.

PyTorch takes a second to import: it is imported where networks are opened, so that other commands begin at once.
"""

import logging
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hub.alerting.threshold_tuner import Learner
from hub.domain.alert_rule import FlagRule
from hub.domain.sensor_map import Places
from hub.search.backend import Backend
from hub.settings import FlaggingSettings, HubSettings, PlacesSettings
from hub.store.episodes import Casebook
from hub.store.events import Archive
from hub.store.sensor_signals import Ear
from shared.backbones import bring, space_named
from shared.errors import Invalid
from shared.extractor import Extractor
from shared.feature_space import SHORT_NAMES
from shared.paths import expanded

if TYPE_CHECKING:
    from hub.search.retrieval import Retrieval
    from hub.search.scoring.scorer import Scorer

log = logging.getLogger(__name__)


def open_archive(settings: HubSettings) -> Archive:
    """The archive these settings name; nothing is sent to the server yet."""
    return Archive(
        settings.redis.url.get_secret_value(),
        timeout_s=settings.redis.timeout_s,
        ca_file=settings.redis.ca_file,
        dead_letter_limit=settings.archive.dead_letter_limit,
        dead_letter_bytes=settings.archive.dead_letter_bytes,
        ear=Ear(settings.health.floor_db, settings.health.floor_dbfs, settings.health.steady_db),
    )


def open_retrieval(settings: HubSettings) -> "Retrieval":
    """Retrieval with the configured checkpoints, and the shipped ones of other spaces; in memory it is empty yet.

    Raises:
        Invalid: a description or a checkpoint that cannot be used, two checkpoints of one feature space, or a store
            that lacks the query engine which `search.backend` asks for.
    """
    from hub.model.checkpoint import load, shipped
    from hub.search.retrieval import Retrieval
    from hub.search.scoring.scorer import Scorer

    for description in settings.model.backbones:
        bring(description)
    if settings.model.space is not None:
        space_named(settings.model.space)
    own = [Scorer(load(path)) for path in settings.model.checkpoints]
    spaces = [scorer.space.id for scorer in own]
    if len(set(spaces)) < len(spaces):
        raise Invalid(f"model.checkpoints: more than one checkpoint for a feature space: {spaces}")
    ours = [Scorer(load(shipped(space))) for space in SHORT_NAMES.values() if space not in spaces]
    return Retrieval([*own, *ours], lambda scorer: _backend(settings, scorer))


def _backend(settings: HubSettings, scorer: "Scorer") -> Backend:
    from hub.search.candidates import Reach
    from hub.search.memory.index import Index
    from hub.search.redis_backend import EngineIndex

    search = settings.search
    if search.backend == "engine" and scorer.sketch is None:
        log.warning("kept in memory for want of a sketch", extra={"space": scorer.space.id})
    if search.backend == "memory" or scorer.sketch is None:
        return Index(scorer, lambda: Reach(search.recall, scorer.candidates, search.candidates))
    return EngineIndex(
        settings.redis.url.get_secret_value(),
        scorer,
        candidates=lambda: search.candidates or scorer.candidates,
        timeout_s=settings.redis.timeout_s,
        ca_file=settings.redis.ca_file,
    )


def rule_of(settings: FlaggingSettings) -> FlagRule:
    """The flagging rule that these settings describe."""
    return FlagRule(
        min_presence=settings.min_presence,
        min_shared=settings.min_shared,
        threshold=settings.threshold,
        min_above_ambient_db=settings.min_above_ambient_db,
        own_recent_s=settings.own_recent_s,
        max_matches=settings.max_matches,
        gap_s=settings.episode_gap_s,
        cooldown_s=settings.cooldown_s,
        rhythm=settings.rhythm,
        others_a_day=settings.false_alerts_a_day,
    )


def learner_of(settings: FlaggingSettings, archive: Archive, casebook: Casebook) -> Learner:
    """What learns thresholds, as these settings say."""
    return Learner(
        archive,
        casebook,
        false_alerts_a_day=settings.false_alerts_a_day,
        start=settings.threshold,
        history_days=settings.history_days,
        cooldown_s=settings.cooldown_s,
    )


def places_of(settings: PlacesSettings) -> Places:
    """The map that these settings describe."""
    return Places(settings.positions, settings.nearby_m, ZoneInfo(settings.timezone))


def open_audio(settings: HubSettings, retrieval: "Retrieval") -> tuple[Extractor, str]:
    """What turns clips into features, and a sentence that says which feature space that is and why.

    Raises:
        Invalid: no checkpoint scores the feature space that clips would get.
    """
    from hub.features.selection import choose_space, extractor_for

    weights_dir = expanded(settings.model.weights_dir)
    choice = choose_space(settings.model.space, weights_dir)
    if choice.space.id not in retrieval.spaces:
        raise Invalid(f"model.checkpoints has no checkpoint for clips' feature space {choice.space.id}")
    return extractor_for(choice.space.id, weights_dir), choice.reason
