"""Find similar past events: one scorer and one backend per feature space; spaces are never compared to each other."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from hub.domain.match import Likeness, Match
from hub.domain.presence_matrix import BOTH, PAIR_STATES, level_of_similarity
from hub.domain.records import StoredEmbeddings, StoredEvent, to_ms
from hub.search.backend import Backend, By, Exclusion, Query, Towers
from hub.search.entries import by_space, entry_of
from hub.search.memory.index import MemoryIndex
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import exactly
from shared.errors import UnsupportedError
from shared.feature_space import Features
from shared.taxonomy import COUNT

Answered = Callable[[MemoryIndex, Query, list[Match]], None]


class Retrieval:
    """Finds similar past events in the feature space of an event.

    Args:
        scorers: one scorer per feature space.
        backend: creates the backend of a scorer; the in-process index by default.
        answered: called with every query that an in-process index answered.
    """

    def __init__(
        self,
        scorers: Iterable[Scorer],
        backend: Callable[[Scorer], Backend] = MemoryIndex,
        answered: Answered = lambda *_: None,
    ) -> None:
        self._scorers = {scorer.space.id: scorer for scorer in scorers}
        self._backends = {space: backend(scorer) for space, scorer in self._scorers.items()}
        self.on_answer = answered

    @property
    def spaces(self) -> tuple[str, ...]:
        """Return the ids of the feature spaces that have a model."""
        return tuple(self._scorers)

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """Return the scorers, one per feature space."""
        return tuple(self._scorers.values())

    @property
    def indexes(self) -> tuple[MemoryIndex, ...]:
        """Return the in-process backends; they must be filled at the start and follow the archive."""
        return tuple(backend for backend in self._backends.values() if isinstance(backend, MemoryIndex))

    @property
    def is_remote(self) -> bool:
        """Return whether a server outside this process keeps the events, for all hubs."""
        return not self.indexes

    def __len__(self) -> int:
        return sum(len(backend) for backend in self._backends.values())

    def embed(self, space: str, features: Features) -> npt.NDArray[np.float32]:
        """Compute the towers, float32 [steps, width], of one clip's features, uint8 [frames, dimension].

        Raises:
            Invalid: no model for this space, or features of another shape.
        """
        towers: npt.NDArray[np.float32] = self.embed_all(space, self._scorer(space).space.check(features)[None])[0]
        return towers

    def embed_all(self, space: str, features: Features) -> npt.NDArray[np.float32]:
        """Compute the towers, float32 [n, steps, width], of clips' features, uint8 [n, frames, dimension].

        Raises:
            Invalid: no model for this space, or features of another shape.
        """
        towers: npt.NDArray[np.float32] = self._scorer(space).embed(features)
        return towers

    def presence_all(self, space: str, towers: Towers) -> list[tuple[float, ...]]:
        """Return the probability of each category in each clip; see `Scorer.presence`.

        Raises:
            Unsupported: no model for this space.
        """
        return [tuple(float(p) for p in row) for row in self._scorer(space).presence(towers)]

    def known(self, events: Sequence[str]) -> list[bool]:
        """Return for each event whether it is indexed."""
        answers = [backend.contains(events) for backend in self._backends.values()]
        return [any(each) for each in zip(*answers, strict=True)]

    def ids(self) -> Iterator[str]:
        """Iterate over the ids of all events that this process keeps."""
        for index in self.indexes:
            yield from itertools.chain.from_iterable(index.ids())

    def add_all(self, events: Sequence[StoredEvent], towers: Sequence[npt.NDArray[np.float32]]) -> None:
        """Index events with their towers [steps, width]; an event that is already indexed changes nothing."""
        for space, rows in by_space(events).items():
            self._backends[space].add([entry_of(events[i]) for i in rows], np.stack([towers[i] for i in rows]))

    def load(self, events: Sequence[StoredEvent]) -> int:
        """Index a batch of archived events.

        Returns:
            Number of events that were not indexed, as their feature space has no model.
        """
        left_out = 0
        for space, rows in by_space(events).items():
            if space not in self._scorers:
                left_out += len(rows)
                continue
            towers = self._archived(self._scorers[space], [events[i] for i in rows])
            self._backends[space].add([entry_of(events[i]) for i in rows], towers)
        return left_out

    def embeddings_to_store(self, space: str, towers: Towers) -> StoredEmbeddings | None:
        """Return one event's towers, float [steps, width], as archived; None if they are too large to be archived.

        Raises:
            Unsupported: no model for this space.
        """
        scorer = self._scorer(space)
        return (
            StoredEmbeddings(scorer.fingerprint, *scorer.layout.archived(towers))
            if scorer.stores_embeddings
            else None
        )

    def _archived(self, scorer: Scorer, events: Sequence[StoredEvent]) -> npt.NDArray[np.float16]:
        """Return towers, float16 [n, steps, width], of archived events; compute those that are not stored."""
        made = np.empty((len(events), *scorer.tower_shape), dtype=np.float16)
        missing = []
        for number, event in enumerate(events):
            found, known = event.towers, None
            if found is not None and found.network == scorer.fingerprint:
                known = scorer.layout.from_archive(found.values, found.identity)
            if known is None:
                missing.append(number)
            else:
                made[number] = known
        if missing:
            made[missing] = scorer.embed(np.stack([events[number].features for number in missing]))
        return made

    def remove(self, events: Iterable[str]) -> None:
        """Remove events from the index."""
        ids = list(events)
        for backend in self._backends.values():
            backend.remove(ids)

    def search_all(self, requests: Sequence[tuple[str, Query]]) -> list[list[Match]]:
        """Return the most similar events of each query in its feature space, best first.

        Raises:
            Unsupported: no model for a space, or a search by source where the model has no identity.
        """
        answers: list[list[Match]] = [[] for _ in requests]
        for space in {space for space, _ in requests}:
            self._scorer(space)
            rows = [i for i, (own, _) in enumerate(requests) if own == space]
            queries = [requests[i][1] for i in rows]
            for query in queries:
                self._scorers[space].identities.check(query.by)
            backend = self._backends[space]
            for i, query, found in zip(rows, queries, backend.search(queries), strict=True):
                answers[i] = found
                if isinstance(backend, MemoryIndex):
                    self.on_answer(backend, query, found)
        return answers

    def match_probability(self, space: str, matches: Sequence[Match], min_shared: float = 0.0) -> Likeness:
        """Return the probability that a query of this space and each of its matches are the same kind of sound.

        Args:
            space: id of the feature space.
            matches: n matches.
            min_shared: lowest P(both) of a category that counts as shared.

        Returns:
            float32 [n, 8]; 0 where the category is not shared.

        Raises:
            Unsupported: no model for this space.
        """
        ranks = np.array([match.kind_rank for match in matches], dtype=np.float32)
        matrices = np.array([match.matrix for match in matches], dtype=np.float32).reshape(-1, COUNT, PAIR_STATES)
        match_probability = self._scorer(space).match_probability(ranks, matrices)
        return np.where(matrices[:, :, BOTH] >= min_shared, match_probability, np.float32(0.0))

    def identity(self, space: str, towers: Towers) -> npt.NDArray[np.float32]:
        """Return the identities of clips, float32 [n, values], of length 1; see `Scorer.identity`.

        Args:
            space: id of the feature space.
            towers: float [n, steps, width], from `embed_all`; n may be 0.

        Raises:
            Unsupported: no model for this space.
        """
        return self._scorer(space).identity(towers)

    def identities(self, events: Sequence[StoredEvent]) -> npt.NDArray[np.float32]:
        """Return the identities of n > 0 archived events of one feature space: float32 [n, values], of length 1.

        Raises:
            Unsupported: no model for this space.
        """
        scorer = self._scorer(events[0].space)
        return scorer.identity(self._archived(scorer, events))

    def same_source(self, space: str, matches: Sequence[Match]) -> npt.NDArray[np.float32]:
        """Return the probability that a query of this space and each of its matches come from the same source.

        Returns:
            float32 [n], in [0, 1]; 0 if the model has no identity.

        Raises:
            Unsupported: no model for this space.
        """
        cosines = np.array([match.identity for match in matches], dtype=np.float32)
        return self._scorer(space).same_source(cosines)

    def same_sources(self, space: str, matches: Sequence[Match]) -> list[float | None]:
        """Return `same_source` as a list, of None if the model has no identity.

        Raises:
            Unsupported: no model for this space.
        """
        if not self.knows_sources(space):
            return [None] * len(matches)
        return [float(p) for p in self.same_source(space, matches)]

    def knows_sources(self, space: str) -> bool:
        """Return whether this space has a model with an identity."""
        return space in self._scorers and self._scorers[space].identities.known

    def compare(self, event: StoredEvent, others: Sequence[StoredEvent]) -> list[Match]:
        """Score an event exactly with each of some others of its feature space, in their order.

        Raises:
            Invalid: no model for its space.
        """
        if not others:
            return []
        scorer = self._scorer(event.space)
        query, *_ = self._archived(scorer, [event])
        towers = self._archived(scorer, others)
        scored = exactly(scorer, query, towers, np.arange(len(others)), By.BOTH)
        columns = (level_of_similarity(scored.matrices), scored.ranks, scored.matrices, scored.cosines, scored.kind)
        return [
            Match(
                event=str(other.id),
                place=other.place,
                captured_ms=to_ms(other.captured_at),
                level=float(level),
                rank=float(rank),
                matrix=matrix,
                identity=float(cosine),
                kind=float(kind),
            )
            for other, level, rank, matrix, cosine, kind in zip(others, *columns, strict=True)
        ]

    def attention(self, event: StoredEvent, other: StoredEvent) -> npt.NDArray[np.float32]:
        """Return the weight of each time step of an event in each category, paired with another: float32 [steps, 8].

        Raises:
            Invalid: no model for its space.
        """
        return self._scorer(event.space).attention(event.features, other.features)

    def similar(self, event: StoredEvent, k: int, exclusion: Exclusion, by: By = By.BOTH) -> list[Match]:
        """Return the k events most similar to an archived one.

        Raises:
            Invalid: no model for its space.
        """
        query = Query(self.embed(event.space, event.features), k, exclusion, by=by)
        return self.search_all([(event.space, query)])[0]

    def _scorer(self, space: str) -> Scorer:
        try:
            return self._scorers[space]
        except KeyError:
            raise UnsupportedError(
                f"no model for feature space {space!r}; this hub has models for {list(self._scorers)}"
            ) from None


def exclude_recent_from_sensor(
    events: Iterable[str], place: str, captured_at: datetime, within_s: float
) -> Exclusion:
    """Exclude some events, such as the query, and the clips of its sensor within some seconds of it."""
    return Exclusion(
        events=frozenset(events),
        place=place,
        around_ms=round(captured_at.timestamp() * 1000),
        within_ms=round(within_s * 1000),
    )
