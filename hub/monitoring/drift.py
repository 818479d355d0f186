"""Drift: whether what the network hears and says is still what it was, measured on what the archive holds anyway.

Nothing is added to the way of an event. Every few minutes a sample of the last day's events is read, evenly over
time, and compared with two references: what the network learnt from, as its training record tells, which says how
unlike this place is; and the first days in which it heard here, kept in the store for all hubs, which says whether
something changed. Likeness is compared by episodes; its reference is of the later half of these days, as at first
there is little to resemble.

To have a reference made anew, say after sensors were moved, delete its key (`hub.store.keys`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.psi import Reference, decile_histogram, psi
from hub.domain.records import to_ms
from hub.metrics.definitions import HubMetrics
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore, translated
from shared.feature_space import Features, FeatureSpace
from shared.taxonomy import CATEGORIES

SAMPLE: Final = 2_000
"""Events whose presence is read."""
_MOST: Final = 20_000
"""Events looked through for these, where other feature spaces have most of them."""
EMBEDDED: Final = 300
"""Of these, those whose features are read too: they are much larger."""
SPAN_MS: Final = 15 * 60_000
"""Events of one sensor within so long count as one that tells anything."""
LEAST_SPANS: Final = 72
"""With fewer, chance alone drifts."""
TRAINING, DEPLOYMENT = "training", "deployment"
"""What is compared with."""


@dataclass(frozen=True, slots=True, eq=False)
class MonitoredModel:
    """A network, as far as drift is concerned.

    Attributes:
        space: whose features it takes.
        fingerprint: tells it from others.
        record: its training record.
    """

    space: FeatureSpace
    fingerprint: str
    record: Mapping[str, Any]

    def trained_shares(self) -> dict[str, float]:
        """Share of each category in what it learnt from; nothing if the record does not tell."""
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
        spans: how many of them are independent of each other.
    """

    presence: npt.NDArray[np.float32]
    features: Features
    spans: int

    def enough(self, least: int) -> bool:
        """Whether something can be said of it."""
        return len(self.presence) >= least and self.spans >= LEAST_SPANS


class DriftProbe:
    """Measures drift, and tells.

    Args:
        archive: whose events.
        episode_store: whose episodes.
        metrics: where it is told.
        judges: the networks in use.
        window: length of the time that is looked at.
        least: events that it takes to say anything.
        first: length of the time that becomes the reference.
    """

    def __init__(
        self,
        archive: EventStore,
        episode_store: EpisodeStore,
        metrics: HubMetrics,
        judges: Sequence[MonitoredModel],
        *,
        window: timedelta,
        least: int,
        first: timedelta,
    ) -> None:
        self._redis = archive.client
        self._episode_store = episode_store
        self._metrics = metrics
        self._judges = judges
        self._window = window
        self._least = least
        self._first_ms = round(first.total_seconds() * 1000)
        metrics.trained_share.replace_all(
            {(j.space.id, name): share for j in judges for name, share in j.trained_shares().items()}
        )

    def run(self, now: datetime) -> None:
        """Tell how far every distribution is from its reference, as far as there is enough to say so.

        Raises:
            Unavailable: the store is away.
        """
        now_ms, since_ms = to_ms(now), to_ms(now - self._window)
        presence: dict[tuple[str, ...], float] = {}
        share: dict[tuple[str, ...], float] = {}
        embedding: dict[tuple[str, ...], float] = {}
        measured: dict[tuple[str, ...], float] = {}
        referred: dict[tuple[str, ...], float] = {}
        for judge in self._judges:
            space = judge.space
            sample = self._sample(space, since_ms, now_ms)
            measured[(space.id,)] = len(sample.presence)
            references = self._references(judge, now_ms)
            referred |= {(space.id, against): float(one.events) for against, one in references.items()}
            if len(sample.presence) < self._least:
                continue
            heard = (sample.presence >= PRESENCE_THRESHOLD).mean(axis=0)
            share |= {(space.id, name): float(value) for name, value in zip(CATEGORIES, heard, strict=True)}
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
        self._look_at_likeness(since_ms, now_ms)

    def on_store_unavailable(self) -> None:
        """Nothing: the figures are of a day, and stay true for longer than a store is away."""

    def _references(self, judge: MonitoredModel, now_ms: int) -> dict[str, Reference]:
        """What there is to compare with."""
        found = {DEPLOYMENT: self._first_heard(judge, now_ms)}
        if "reference" in judge.record:
            found[TRAINING] = Reference.from_json(judge.record["reference"])
        return {against: reference for against, reference in found.items() if reference is not None}

    def _first_heard(self, judge: MonitoredModel, now_ms: int) -> Reference | None:
        key = keys.drift_reference(judge.space.id, judge.fingerprint)
        since_ms, known = self._known(key, now_ms)
        if known is not None:
            return Reference.from_json(known)
        if now_ms - since_ms < self._first_ms:
            return None
        sample = self._sample(judge.space, since_ms, now_ms)
        if not sample.enough(self._least):
            return None
        made = Reference.from_sample(sample.presence, sample.features, sample.spans)
        return Reference.from_json(self._store_reference_once(key, made.document()))

    def _look_at_likeness(self, since_ms: int, now_ms: int) -> None:
        key = keys.probability_drift_reference("-".join(judge.fingerprint for judge in self._judges))
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
        """Counts of the best likeness of the latest episodes between two times, in tenths: int64 [1, 10]."""
        episodes = self._episode_store.episodes(limit=SAMPLE, since_ms=since_ms, before_ms=until_ms)
        return decile_histogram(np.array([[episode.max_match_probability] for episode in episodes]).reshape(-1, 1))

    @translated
    def _known(self, key: str, now_ms: int) -> tuple[int, Any]:
        """Since when a network hears, and the reference if there is one."""
        self._redis.hsetnx(key, "since_ms", now_ms)
        since, reference = self._redis.hmget(key, "since_ms", "reference")
        return int(since), None if reference is None else json.loads(reference)

    @translated
    def _store_reference_once(self, key: str, reference: object) -> Any:  # noqa: ANN401 - JSON values
        """The reference that all hubs use from now on: that of the first."""
        self._redis.hsetnx(key, "reference", json.dumps(reference))
        return json.loads(self._redis.hget(key, "reference"))

    @translated
    def _sample(self, space: FeatureSpace, since_ms: int, until_ms: int, among: int = SAMPLE) -> EventSample:
        """Events of a space captured between two times, evenly over them: those among so many of all spaces."""
        before = int(self._redis.zcount(keys.EVENTS, "-inf", f"({since_ms}"))
        count = int(self._redis.zcount(keys.EVENTS, since_ms, until_ms))
        ranks = np.unique(np.linspace(before, before + count - 1, min(count, among)).astype(np.int64))
        pipe = self._redis.pipeline(transaction=False)
        for rank in ranks:
            pipe.zrange(keys.EVENTS, int(rank), int(rank))
        events = [found[0] for found in pipe.execute() if found]
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
