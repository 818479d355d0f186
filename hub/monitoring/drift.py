"""Drift of a network's inputs and outputs, measured on archived events.

The probe adds no work to the pipeline. Every few minutes it reads a sample of the last day's events, evenly over
time, and compares it with two references. The training data, from the checkpoint, shows how far this deployment
differs from it. The first days at this deployment, kept in Redis for all hubs, show later changes. The probe compares
match probabilities by episode. Their reference covers the later half of the first days, as the archive is small
before.

To build a new reference, for example after sensors were moved, delete its key (`hub.store.keys`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.psi import Reference, decile_histogram, psi
from hub.domain.records import to_ms
from hub.metrics.definitions import HubMetrics
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.json_rows import encode
from hub.store.stores import Stores
from shared.feature_space import Features, FeatureSpace
from shared.taxonomy import CATEGORIES

SAMPLE: Final = 2_000
"""Events whose presence is read."""
_MOST: Final = 20_000
"""Maximum events to search for these, if most events are of other feature spaces."""
EMBEDDED: Final = 300
"""Events of the sample whose features, which are much larger, are read too."""
SPAN_MS: Final = 15 * 60_000
"""Events of one sensor within this time count as one independent observation, in ms."""
LEAST_SPANS: Final = 72
"""Minimum of independent observations; with fewer, chance alone looks like drift."""
TRAINING, DEPLOYMENT = "training", "deployment"
"""Names of the references."""


@dataclass(frozen=True, slots=True, eq=False)
class MonitoredModel:
    """A network whose drift is measured.

    Attributes:
        space: its feature space.
        fingerprint: identifies the network.
        record: its training record.
    """

    space: FeatureSpace
    fingerprint: str
    record: Mapping[str, Any]

    def trained_shares(self) -> dict[str, float]:
        """Return the share of each category in the training data; empty if the record has none."""
        positives, clips = self.record.get("positives"), self.record.get("domain") or self.record.get("clips")
        if not positives or not clips:
            return {}
        return {name: count / clips for name, count in zip(CATEGORIES, positives, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class EventSample:
    """A sample of a feature space's events.

    Attributes:
        presence: float32 [n, 8].
        features: uint8 [m, frames, dimension], of some of them.
        spans: number of independent observations.
    """

    presence: npt.NDArray[np.float32]
    features: Features
    spans: int

    def enough(self, least: int) -> bool:
        """Return whether the sample is large enough for a measurement."""
        return len(self.presence) >= least and self.spans >= LEAST_SPANS


@dataclass(frozen=True, slots=True)
class DriftRule:
    """Which events are measured, and which are the reference.

    Attributes:
        window: time span of the measured events.
        least: minimum events of a measurement.
        first: time span of the reference of this deployment.
    """

    window: timedelta
    least: int
    first: timedelta


class DriftProbe:
    """Measures drift and exports it.

    Args:
        stores: of events and episodes.
        metrics: the hub's metrics.
        models: the networks in use.
        rule: which events are measured, and which are the reference.
    """

    def __init__(
        self, stores: Stores, metrics: HubMetrics, models: Sequence[MonitoredModel], rule: DriftRule
    ) -> None:
        self._redis = stores.events.client
        self._episode_store = stores.episodes
        self._metrics = metrics
        self._models = models
        self._window = rule.window
        self._least = rule.least
        self._first_ms = round(rule.first.total_seconds() * 1000)
        metrics.trained_share.replace_all(
            {(one.space.id, name): share for one in models for name, share in one.trained_shares().items()}
        )

    def run(self, now: datetime) -> None:
        """Export the distance of each distribution from its reference, where the sample is large enough.

        Raises:
            UnavailableError: Redis does not answer.
        """
        now_ms, since_ms = to_ms(now), to_ms(now - self._window)
        presence: dict[tuple[str, ...], float] = {}
        share: dict[tuple[str, ...], float] = {}
        embedding: dict[tuple[str, ...], float] = {}
        measured: dict[tuple[str, ...], float] = {}
        referred: dict[tuple[str, ...], float] = {}
        for model in self._models:
            space = model.space
            sample = self._sample(space, since_ms, now_ms)
            measured[(space.id,)] = len(sample.presence)
            references = self._references(model, now_ms)
            referred |= {(space.id, against): float(one.events) for against, one in references.items()}
            if len(sample.presence) < self._least:
                continue
            shares = (sample.presence >= PRESENCE_THRESHOLD).mean(axis=0)
            share |= {(space.id, name): float(value) for name, value in zip(CATEGORIES, shares, strict=True)}
            for against, reference in references.items() if sample.enough(self._least) else ():
                drifted = reference.presence_psi(sample.presence, sample.spans)
                presence |= {
                    (space.id, name, against): float(value) for name, value in zip(CATEGORIES, drifted, strict=True)
                }
                embedding[space.id, against] = reference.embedding_psi(sample.features, sample.spans)
        self._metrics.presence_psi.replace_all(presence)
        self._metrics.presence_share.replace_all(share)
        self._metrics.embedding_psi.replace_all(embedding)
        self._metrics.drift_events.replace_all(measured)
        self._metrics.reference_events.replace_all(referred)
        self._measure_match_probability(since_ms, now_ms)

    def on_store_unavailable(self) -> None:
        """Keep the last values, which describe a whole day."""

    def _references(self, model: MonitoredModel, now_ms: int) -> dict[str, Reference]:
        """Return the available references by name."""
        references = {DEPLOYMENT: self._deployment_reference(model, now_ms)}
        if "reference" in model.record:
            references[TRAINING] = Reference.from_json(model.record["reference"])
        return {against: reference for against, reference in references.items() if reference is not None}

    def _deployment_reference(self, model: MonitoredModel, now_ms: int) -> Reference | None:
        key = keys.drift_reference(model.space.id, model.fingerprint)
        since_ms, known = self._known(key, now_ms)
        if known is not None:
            return Reference.from_json(known)
        if now_ms - since_ms < self._first_ms:
            return None
        sample = self._sample(model.space, since_ms, now_ms)
        if not sample.enough(self._least):
            return None
        reference = Reference.from_sample(sample.presence, sample.features, sample.spans)
        return Reference.from_json(self._store_reference_once(key, reference.document()))

    def _measure_match_probability(self, since_ms: int, now_ms: int) -> None:
        key = keys.probability_drift_reference("-".join(model.fingerprint for model in self._models))
        begun_ms, reference = self._known(key, now_ms)
        if reference is None and now_ms - begun_ms >= self._first_ms:
            counts = self._match_probability((begun_ms + now_ms) // 2, now_ms)
            if counts.sum() >= self._least:
                reference = self._store_reference_once(key, counts.tolist())
        now = self._match_probability(since_ms, now_ms)
        enough = reference is not None and now.sum() >= self._least
        value = float(psi(now, np.array(reference, dtype=np.int64))[0]) if enough else None
        self._metrics.match_probability_psi.replace_all({} if value is None else {(): value})

    def _match_probability(self, since_ms: int, until_ms: int) -> npt.NDArray[np.int64]:
        """Return the histogram of the latest episodes' highest match probabilities, in tenths: int64 [1, 10]."""
        episodes = self._episode_store.episodes(limit=SAMPLE, since_ms=since_ms, before_ms=until_ms)
        return decile_histogram(np.array([[episode.max_match_probability] for episode in episodes]).reshape(-1, 1))

    @raises_unavailable
    def _known(self, key: str, now_ms: int) -> tuple[int, Any]:
        """Return the time from which a network is in use, in ms, and the reference or None."""
        self._redis.hsetnx(key, "since_ms", now_ms)
        since, reference = self._redis.hmget(key, "since_ms", "reference")
        return int(since), None if reference is None else _reference_of(reference)

    @raises_unavailable
    def _store_reference_once(self, key: str, reference: object) -> Any:  # noqa: ANN401 - JSON values
        """Store a reference unless another hub did, and return the stored one."""
        self._redis.hsetnx(key, "reference", encode({"reference": reference}))
        return _reference_of(self._redis.hget(key, "reference"))

    @raises_unavailable
    def _sample(self, space: FeatureSpace, since_ms: int, until_ms: int, among: int = SAMPLE) -> EventSample:
        """Return the events of a feature space among `among` events captured between two times, evenly spread."""
        before = int(self._redis.zcount(keys.EVENTS, "-inf", f"({since_ms}"))
        count = int(self._redis.zcount(keys.EVENTS, since_ms, until_ms))
        ranks = np.unique(np.linspace(before, before + count - 1, min(count, among)).astype(np.int64))
        pipe = self._redis.pipeline(transaction=False)
        for rank in ranks:
            pipe.zrange(keys.EVENTS, int(rank), int(rank))
        events = [names[0] for names in pipe.execute() if names]
        for event in events:
            pipe.hmget(keys.event(event.decode()), "space", "presence", "captured_ms")
        rows = [
            (event, *row[1:])
            for event, row in zip(events, pipe.execute(), strict=True)
            if row[0] == space.id.encode()
        ]
        if 0 < len(rows) < self._least and among < min(count, _MOST):
            return self._sample(space, since_ms, until_ms, min(_MOST, 2 * among * self._least // len(rows)))
        presence = [np.frombuffer(values, dtype="<f4") for _, values, _ in rows]
        spans = {(event.rsplit(b".", 2)[0], int(captured) // SPAN_MS) for event, _, captured in rows}
        step = max(1, -(-len(rows) // EMBEDDED))
        for event, *_ in rows[::step]:
            pipe.hget(keys.event(event.decode()), "features")
        features = [np.frombuffer(values, dtype=np.uint8) for values in pipe.execute() if values]
        return EventSample(
            np.array(presence, dtype=np.float32).reshape(-1, len(CATEGORIES)),
            np.array(features, dtype=np.uint8).reshape(-1, *space.shape),
            len(spans),
        )


def _reference_of(row: bytes) -> Any:  # noqa: ANN401 - JSON values
    """Return a reference from its row; earlier hubs wrote it alone."""
    document = from_json(row)
    return document["reference"] if isinstance(document, dict) and "v" in document else document
