"""Write docs/openapi.json from the API's routes, without servers: `python docs/make_openapi.py`.

A test keeps the two equal. The routes are put on parts that reach for nothing until they are asked something.
"""

import json
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hub.alerting.explanation import MatchExplainer
from hub.alerting.name_matching import NameMatcher
from hub.app.factory import (
    build_alert_rule,
    build_feedback,
    build_limit_rules,
    build_recurrence,
    build_sensor_map,
    build_source_histories,
    build_stores,
    build_threshold_tuner,
)
from hub.commands.command_service import CommandService
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.web.app import create_app
from hub.web.context import HealthStatus, WebContext
from shared.extractor import FeatureExtractor

FILE = Path(__file__).parent / "openapi.json"


def app(settings: HubSettings | None = None) -> FastAPI:
    """Return the hub's web application without networks; with the default settings, for its description only."""
    settings = settings or HubSettings.model_construct()
    stores = build_stores(settings)
    places = build_sensor_map(settings.sites)
    retrieval = Retrieval([], lambda scorer: cast("Any", scorer))
    return create_app(
        WebContext(
            archive=stores.events,
            episode_store=stores.episodes,
            retrieval=retrieval,
            extractor=cast("FeatureExtractor", None),
            metrics=HubMetrics(CollectorRegistry()),
            health=lambda: HealthStatus(broker=False, store=False, events=0, dead_letters=0),
            settings=settings,
            feedback=build_feedback(stores, build_threshold_tuner(settings.alerts, stores)),
            patterns=build_recurrence(settings, stores, places),
            sources=stores.sources,
            histories=build_source_histories(settings, stores, places),
            explainer=MatchExplainer(retrieval, stores.episodes, build_alert_rule(settings)),
            places=places,
            names=stores.names,
            name_matcher=NameMatcher(stores.names, retrieval),
            commands=CommandService(stores.events, settings.mqtt, settings.hub.name),
            limits=build_limit_rules(settings),
        )
    )


def page() -> str:
    """Return the document as JSON."""
    return json.dumps(app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(page())
