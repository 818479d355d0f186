"""Similar past events across feature spaces: one scorer and one backend per space, never compared to each other."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hub.domain.match import Match, MatchProbabilities
from hub.domain.presence_matrix import BOTH, PAIR_STATES, level_of_similarity
from hub.domain.records import StoredEmbeddings, StoredEvent, to_ms
from hub.search.archived_towers import archived_towers, embeddings_to_store
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
    """Finds similar past events in whichever feature space an event is.

    Args:
        scorers: one per feature space.
        backend: makes the backend of a scorer; the in-process index by default.
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
        """Ids of the feature spaces that have a model."""
        return tuple(self._scorers)

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """The models, one per feature space."""
        return tuple(self._scorers.values())

    @property
    def indexes(self) -> tuple[MemoryIndex, ...]:
        """The backends that are in this process, and so must be filled at the start and follow the archive."""
        return tuple(backend for backend in self._backends.values() if isinstance(backend, MemoryIndex))

    @property
    def is_remote(self) -> bool:
        """Return whether the events are kept outside this process, where all hubs find them."""
        return not self.indexes

    def __len__(self) -> int:
        return sum(len(backend) for backend in self._backends.values())

    def embed(self, space: str, features: Features) -> npt.NDArray[np.float32]:
        """Tower output float32 [steps, width] of one clip's features, uint8 [frames, dimension].

        Raises:
            InvalidError: no model for this space, or features of another shape.
        """
        towers: npt.NDArray[np.float32] = self.embed_all(space, self._scorer(space).space.check(features)[None])[0]
        return towers

    def embed_all(self, space: str, features: Features) -> npt.NDArray[np.float32]:
        """Tower output float32 [n, steps, width] of clips' features, uint8 [n, frames, dimension].

        Raises:
            InvalidError: no model for this space, or features of another shape.
        """
        towers: npt.NDArray[np.float32] = self._scorer(space).embed(features)
        return towers

    def presence_all(self, space: str, towers: Towers) -> list[tuple[float, ...]]:
        """Probability of each category in each clip, as of `Scorer.presence`.

        Raises:
            UnsupportedError: no model for this space.
        """
        return [tuple(float(p) for p in row) for row in self._scorer(space).presence(towers)]

    def known(self, events: Sequence[str]) -> list[bool]:
        """Return of each event whether it can be found."""
        answers = [backend.contains(events) for backend in self._backends.values()]
        return [any(each) for each in zip(*answers, strict=True)]

    def ids(self) -> Iterator[str]:
        """Return all events that are kept in this process."""
        for index in self.indexes:
            yield from itertools.chain.from_iterable(index.ids())

    def add_all(self, events: Sequence[StoredEvent], towers: Sequence[npt.NDArray[np.float32]]) -> None:
        """Make events findable, given their towers [steps, width]; one that is there already changes nothing."""
        for space, rows in by_space(events).items():
            self._backends[space].add([entry_of(events[i]) for i in rows], np.stack([towers[i] for i in rows]))

    def load(self, events: Sequence[StoredEvent]) -> int:
        """Make archived events findable, a batch at a time.

        Returns:
            How many could not be, for want of a model of their space.
        """
        left_out = 0
        for space, rows in by_space(events).items():
            if space not in self._scorers:
                left_out += len(rows)
                continue
            towers = archived_towers(self._scorers[space], [events[i] for i in rows])
            self._backends[space].add([entry_of(events[i]) for i in rows], towers)
        return left_out

    def embeddings_to_store(self, space: str, towers: Towers) -> StoredEmbeddings | None:
        """Return one event's archived towers, float [steps, width]; None if they are not worth their room.

        Raises:
            UnsupportedError: no model for this space.
        """
        return embeddings_to_store(self._scorer(space), towers)

    def remove(self, events: Iterable[str]) -> None:
        """Forget events."""
        ids = list(events)
        for backend in self._backends.values():
            backend.remove(ids)

    def search_all(self, requests: Sequence[tuple[str, Query]]) -> list[list[Match]]:
        """Return the most similar events of each query in its feature space, best first.

        Raises:
            UnsupportedError: no model for a space, or a search by source where the model has no identity.
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

    def match_probability(self, space: str, matches: Sequence[Match], min_shared: float = 0.0) -> MatchProbabilities:
        """Probability that a query of this space and each of its matches are the same kind of sound.

        Args:
            space: id of the feature space.
            matches: n of them.
            min_shared: lowest P(both) of a category that counts as shared.

        Returns:
            float32 [n, 8]; 0 where the category is not shared.

        Raises:
            UnsupportedError: no model for this space.
        """
        ranks = np.array([match.kind_rank for match in matches], dtype=np.float32)
        matrices = np.array([match.matrix for match in matches], dtype=np.float32).reshape(-1, COUNT, PAIR_STATES)
        match_probability = self._scorer(space).match_probability(ranks, matrices)
        return np.where(matrices[:, :, BOTH] >= min_shared, match_probability, np.float32(0.0))

    def identity(self, space: str, towers: Towers) -> npt.NDArray[np.float32]:
        """Return the identities of clips, as of `Scorer.identity`: float32 [n, values], of length 1.

        Args:
            space: id of the feature space.
            towers: float [n, steps, width], as of `embed_all`; n may be 0.

        Raises:
            UnsupportedError: no model for this space.
        """
        return self._scorer(space).identity(towers)

    def identities(self, events: Sequence[StoredEvent]) -> npt.NDArray[np.float32]:
        """Return the identities of archived events of one feature space: float32 [n, values], of length 1; n > 0.

        Raises:
            UnsupportedError: no model for this space.
        """
        scorer = self._scorer(events[0].space)
        return scorer.identity(archived_towers(scorer, events))

    def same_source(self, space: str, matches: Sequence[Match]) -> npt.NDArray[np.float32]:
        """Probability that a query of this space and each of its matches come from the same source.

        Returns:
            float32 [n], in [0, 1]; 0 if the model has no identity.

        Raises:
            UnsupportedError: no model for this space.
        """
        cosines = np.array([match.identity for match in matches], dtype=np.float32)
        return self._scorer(space).identities.same_source(cosines)

    def same_sources(self, space: str, matches: Sequence[Match]) -> list[float | None]:
        """Return `same_source` as it is published: None each if the model has no identity.

        Raises:
            UnsupportedError: no model for this space.
        """
        if not self.knows_sources(space):
            return [None] * len(matches)
        return [float(p) for p in self.same_source(space, matches)]

    def knows_sources(self, space: str) -> bool:
        """Return whether the model of this space, if there is one, has an identity."""
        return space in self._scorers and self._scorers[space].identities.known

    def compare(self, event: StoredEvent, others: Sequence[StoredEvent]) -> list[Match]:
        """Return an event and each of some others of its feature space, in their order, scored exactly.

        Raises:
            InvalidError: no model for its space.
        """
        if not others:
            return []
        scorer = self._scorer(event.space)
        query, *_ = archived_towers(scorer, [event])
        towers = archived_towers(scorer, others)
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
            InvalidError: no model for its space.
        """
        return self._scorer(event.space).attention(event.features, other.features)

    def similar(self, event: StoredEvent, k: int, exclusion: Exclusion, by: By = By.BOTH) -> list[Match]:
        """Return the k events most similar to an archived one.

        Raises:
            InvalidError: no model for its space.
        """
        query = Query(self.embed(event.space, event.features), k, exclusion, by=by)
        return self.search_all([(event.space, query)])[0]

    def _scorer(self, space: str) -> Scorer:
        try:
            return self._scorers[space]
        except KeyError:
            raise UnsupportedError(
                f"no model for feature space {space!r}; there is one for {list(self._scorers)}"
            ) from None
