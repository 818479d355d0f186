"""Write docs/openapi.json from the API's routes, without servers: `python docs/make_openapi.py`.

A test keeps the two equal. The routes are put on parts that reach for nothing until they are asked something.
"""

import json
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hub.alerting.explanation import MatchExplainer
from hub.alerting.feedback import FeedbackService
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import build_alert_rule, build_event_store, build_sensor_map, build_threshold_tuner
from hub.commands.command_service import CommandService
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.episodes import EpisodeStore
from hub.store.named_sounds import NamedSounds
from hub.store.sources import SourceStore
from hub.web.app import create_app
from hub.web.context import HealthStatus, WebContext
from shared.extractor import FeatureExtractor

FILE = Path(__file__).parent / "openapi.json"


def app() -> FastAPI:
    """Return the hub's web application, for its description only."""
    settings = HubSettings.model_construct()
    archive = build_event_store(settings)
    episode_store = EpisodeStore(archive)
    places = build_sensor_map(settings.sites)
    sources, days = SourceStore(archive, episode_store), settings.store.retention_days
    retrieval = Retrieval([], lambda scorer: cast("Any", scorer))
    names = NamedSounds(archive, None)
    return create_app(
        WebContext(
            archive=archive,
            episode_store=episode_store,
            retrieval=retrieval,
            extractor=cast("FeatureExtractor", None),
            metrics=HubMetrics(CollectorRegistry()),
            health=lambda: HealthStatus(broker=False, store=False, events=0, dead_letters=0),
            settings=settings,
            feedback=FeedbackService(
                archive, episode_store, build_threshold_tuner(settings.alerts, archive, episode_store)
            ),
            patterns=RecurrenceService(episode_store, places, days),
            sources=sources,
            histories=SourceHistories(sources, episode_store, places, days, settings.alerts.cooldown_s),
            explainer=MatchExplainer(retrieval, episode_store, build_alert_rule(settings)),
            places=places,
            names=names,
            name_matcher=NameMatcher(names, retrieval),
            commands=CommandService(archive, settings.mqtt, settings.hub.name),
        )
    )


def page() -> str:
    """Return the document as JSON."""
    return json.dumps(app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(page())
