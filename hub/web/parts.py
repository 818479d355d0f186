"""What the web application is made of: the hub's parts it reads, and how the hub says that it is well."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from hub.archive import Archive
from hub.casebook import Casebook
from hub.catalogue import Catalogue
from hub.feedback import Feedback
from hub.flagging.why import Explainer
from hub.metrics import HubMetrics
from hub.patterns import Patterns
from hub.places import Places
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from shared.extractor import Extractor


@dataclass(frozen=True, slots=True)
class Health:
    """What `/healthz` tells: whether the hub can do its work.

    Attributes:
        broker: connected and granting events, or draining before it connects again.
        store: it answers.
        events: events archived; 0 if the store is away.
        dead_letters: dead letters that wait; 0 if the store is away.
        retention: "ok", or why nothing is removed by age.
        problems: what is wrong with broker or store, in words with what to do.
    """

    broker: bool
    store: bool
    events: int
    dead_letters: int
    retention: str = "ok"
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Broker and store are both there."""
        return self.broker and self.store


@dataclass(frozen=True)
class Parts:
    """The hub's parts that pages and API are made of.

    Attributes:
        archive: events, alerts, sensors.
        casebook: episodes and thresholds.
        retrieval: finds similar events.
        extractor: turns an uploaded recording into features.
        metrics: counters and timings.
        health: asked anew by every caller of `/healthz`.
        settings: all of them, for the page that shows them.
        feedback: takes verdicts.
        patterns: what recurs.
        explainer: why events match.
        places: where sensors are, and what time it is there.
        stopping: set when the hub ends: what waits for news ends then.
    """

    archive: Archive
    casebook: Casebook
    retrieval: Retrieval
    extractor: Extractor
    metrics: HubMetrics
    health: Callable[[], Health]
    settings: HubSettings
    feedback: Feedback
    patterns: Patterns
    explainer: Explainer
    places: Places
    stopping: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Lists of the archive's events."""
        return Catalogue(self.archive)
