"""Pipelines for tests, as the factory of the hub builds them from settings."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry

from hub.app.event_factory import build_pipeline
from hub.features.logmel import LogMel
from hub.ingest.capture_times import ClockRules
from hub.ingest.pipeline import Pipeline, Recognition
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.settings import HubSettings
from hub.store.stores import Stores
from shared.feature_space import LOGMEL, VGGISH

SCORERS = [Scorer(load(default_checkpoint(space.id))) for space in (VGGISH, LOGMEL)]


def flagging(
    *, gap_s: float = 60.0, cooldown_s: float = 1_800.0, max_matches: int = 5, exclude_same_sensor_s: float = 0.0
) -> HubSettings:
    """Settings of a hub that raises an alert of everything, except within an episode and its cool-down."""
    return HubSettings.model_validate(
        {
            "alerts": {
                "min_category_probability": 0.0,
                "min_shared_probability": 0.0,
                "default_threshold": 0.0,
                "cooldown_s": cooldown_s,
                "max_matches": max_matches,
                "max_false_alerts_per_day": 1e9,
            },
            "episodes": {"max_gap_s": gap_s},
            "search": {"exclude_same_sensor_s": exclude_same_sensor_s},
        }
    )


ALL_FLAGGED = flagging(gap_s=0.0, cooldown_s=0.0, max_matches=3)


def pipeline_of(
    stores: Stores,
    now: Callable[[], datetime],
    settings: HubSettings = ALL_FLAGGED,
    recognition: Recognition | None = None,
    metrics: HubMetrics | None = None,
) -> Pipeline:
    """A pipeline of log-mel clips and VGGish embeddings."""
    return build_pipeline(
        settings,
        stores,
        recognition or Recognition(LogMel(), Retrieval(SCORERS)),
        metrics or HubMetrics(CollectorRegistry()),
        ClockRules(now=now),
    )
