"""Writes docs/openapi.json from the API's routes, without servers: `python docs/make_openapi.py`.

A test keeps the two equal. The routes are put on parts that reach for nothing until they are asked something.
"""

import json
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hub.alerting.explanation import Explainer
from hub.alerting.feedback import Feedback
from hub.alerting.name_matching import NameMatcher
from hub.alerting.recurrence import Patterns
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import learner_of, open_archive, places_of, rule_of
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.episodes import Casebook
from hub.store.named_sounds import NamedSounds
from hub.store.sources import SourceStore
from hub.web.app import create_app
from hub.web.context import Health, Parts
from shared.extractor import Extractor

FILE = Path(__file__).parent / "openapi.json"


def app() -> FastAPI:
    """The hub's web application, to be looked at only."""
    settings = HubSettings.model_construct()
    archive = open_archive(settings)
    casebook = Casebook(archive)
    places = places_of(settings.places)
    sources, days = SourceStore(archive, casebook), settings.archive.retention_days
    retrieval = Retrieval([], lambda scorer: cast("Any", scorer))
    names = NamedSounds(archive, None)
    return create_app(
        Parts(
            archive=archive,
            casebook=casebook,
            retrieval=retrieval,
            extractor=cast("Extractor", None),
            metrics=HubMetrics(CollectorRegistry()),
            health=lambda: Health(broker=False, store=False, events=0, dead_letters=0),
            settings=settings,
            feedback=Feedback(archive, casebook, learner_of(settings.flagging, archive, casebook)),
            patterns=Patterns(casebook, places, days),
            sources=sources,
            histories=SourceHistories(sources, casebook, places, days, settings.flagging.cooldown_s),
            explainer=Explainer(retrieval, casebook, rule_of(settings.flagging)),
            places=places,
            names=names,
            name_matcher=NameMatcher(names, retrieval),
        )
    )


def page() -> str:
    """The document as JSON."""
    return json.dumps(app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(page())
