"""Pair scoring with one checkpoint: exact, and quick with an exact last word.

An event is kept as its tower output; of a network without towers, as its standardised features. `score` gives exact
presence matrices. `ranks` orders many events at once: of a Siamese network within a tolerance of the exact ranks, of
a tagged network, which has no pair layers, as exactly as float32 goes. `best` ranks quickly, then scores exactly
whatever may be among the best: the answer of scoring everything exactly, at a small part of the cost.
numpy in and out; torch is inside.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.checkpoint import Checkpoint, Network
from hub.model.likeness import Likeness, likeness
from hub.model.presence import BOTH, SITUATIONS, level_of_similarity
from hub.model.tagged import TaggedNetwork, implied
from hub.search.match import Towers
from hub.search.pairs import Pairs, QuickPairs
from hub.search.ranker import ExactRanks, Ranker, TagRanks
from hub.search.reach import DEPTH
from hub.search.sketch import Learnt, Sketch, Tagged
from hub.search.taggers import Taggers
from shared.errors import Invalid
from shared.space import Features, FeatureSpace
from shared.taxonomy import COUNT

Probabilities = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.float32]
Best = tuple[npt.NDArray[np.int64], Ranks, Probabilities]
"""Rows int64 [m], ranks float32 [m] and presence matrices float32 [m, 8, 3], the best first."""

_LAYOUT: Final = b"2"
"""To be changed with whatever makes other towers or sketches of the same weights."""

BLOCK: Final = 256
"""Events scored exactly at once: keeps the working set (10 MB for ten steps) near the processor's caches."""

_CLIPS: Final = 64
"""Clips whose towers are computed at once, for the caches' sake."""

_FIRST: Final = 64
"""Events scored exactly to know how good the k-th best is at least."""

_QUICK: Final = 1_024
"""Events whose halves are made at once: what is in between (5 MB) stays in the processor's caches."""


class Scorer:
    """Scores queries against events with one checkpoint.

    Args:
        checkpoint: what to score with.
        block: most events scored exactly at once, from 1.

    Attributes:
        sketch: vectors whose inner product imitates the rank; None if the checkpoint was not taught one.
        fingerprint: 16 hex digits that change with the weights, and with what is made of them.
        record: training record of the checkpoint.
        tolerance: `ranks` are at most so far from exact ones.

    Raises:
        Invalid: a block below 1.
    """

    def __init__(self, checkpoint: Checkpoint, block: int = BLOCK) -> None:
        if block < 1:
            raise Invalid(f"block {block} must be at least 1")
        self._block = block
        self._space = checkpoint.space
        self._network = checkpoint.network.eval()
        self._calibration = checkpoint.calibration
        self._tagged = self._network if isinstance(self._network, TaggedNetwork) else None
        self.sketch: Sketch | None = None if checkpoint.sketch is None else Learnt(checkpoint.sketch)
        self._ranker: Ranker
        if isinstance(self._network, TaggedNetwork):
            self._tower: Callable[[Tensor], Tensor] = Taggers(self._network)
            self._pairs = _implied
            self._ranker = TagRanks(self._network)
            self.sketch = Tagged(self._network)
        else:
            self._tower = self._network.tower
            self._pairs = Pairs(self._network)
            quick = QuickPairs.serves(self._network)
            self._ranker = QuickPairs(self._network) if quick else ExactRanks(self._pairs, block)
        self.tolerance = self._ranker.tolerance
        self.fingerprint = _fingerprint(self._network, checkpoint.sketch)
        self.record = checkpoint.record

    @property
    def space(self) -> FeatureSpace:
        """The feature space whose features `embed` takes."""
        return self._space

    @property
    def tower_shape(self) -> tuple[int, int]:
        """Shape of one event's tower output: (steps, width)."""
        config = self._network.config
        return (config.steps, config.width)

    @property
    def compact(self) -> bool:
        """Whether towers, as float16, take at most half the bytes of features, and so are archived beside them."""
        steps, width = self.tower_shape
        frames, dimension = self._space.shape
        return 2 * steps * width * np.dtype(np.float16).itemsize <= frames * dimension

    def embed(self, features: Features) -> npt.NDArray[np.float32]:
        """Compute what the index keeps of each event.

        Args:
            features: uint8 [n, frames, dimension] of this feature space; n may be 0.

        Returns:
            float32 [n, steps, width].

        Raises:
            Invalid: another shape or dtype.
        """
        if features.dtype != np.uint8 or features.shape[1:] != self._space.shape:
            raise Invalid(
                f"{self._space.id} wants uint8 [n, {self._space.frames}, {self._space.dimension}],"
                f" got {features.dtype} {list(features.shape)}"
            )
        towers = np.empty((len(features), *self.tower_shape), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(features), _CLIPS):
                part = self._space.dequantise(features[start : start + _CLIPS])
                towers[start : start + _CLIPS] = self._tower(torch.from_numpy(part)).numpy()
        return towers

    def score(self, query: Towers, events: Towers) -> Probabilities:
        """Presence matrices of one query paired with each event, exactly as the network gives them.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, 8, 3]; every row sums to 1.

        Raises:
            Invalid: another shape.
        """
        self._check(query[None], "query")
        self._check(events, "events")
        return self._in_blocks(query, events)

    def rank(self, query: Towers, events: Towers, matrices: Probabilities) -> npt.NDArray[np.float32]:
        """What events are ranked by: the level of similarity, and of a tagged network its affinity too.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`.
            matrices: float32 [n, 8, 3], their `score`.

        Returns:
            float32 [n], the higher the more similar.
        """
        levels = level_of_similarity(matrices)
        if self._tagged is None:
            return levels
        affinity = self.affinities(query[None], events)[0]
        return np.asarray(levels + np.float32(self._tagged.weight) * affinity, dtype=np.float32)

    def attention(self, query: Features, event: Features) -> npt.NDArray[np.float32]:
        """How much each time step of a query weighs in each category, paired with an event.

        Args:
            query: uint8 [frames, dimension] of this feature space.
            event: the same.

        Returns:
            float32 [steps, 8]; sums to 1 over the steps, which divide the clip evenly.
        """
        pair = (torch.from_numpy(self._space.dequantise(clip[None])) for clip in (query, event))
        with torch.inference_mode():
            return self._network.attended(*pair)[0].numpy()

    def likeness(self, ranks: npt.NDArray[np.float32], matrices: Probabilities) -> Likeness:
        """Probability that a query and each of its matches are the same kind of sound, per category.

        Args:
            ranks: float32 [n], of the matches.
            matrices: float32 [n, 8, 3], their presence matrices.

        Returns:
            float32 [n, 8], as of `hub.model.likeness`.
        """
        return likeness(self._calibration, ranks, matrices)

    def half(self, events: Towers) -> Any:  # noqa: ANN401 - as the ranker wants it
        """What `ranks` can know of events before there is a query; for `ranks` only.

        Args:
            events: float [n, steps, width] from `embed`, n at least 1.
        """
        with torch.inference_mode():
            return self._ranker.half(_single(events))

    def ranks(self, query: Towers, half: Any) -> Ranks:  # noqa: ANN401
        """Ranks of one query and many events, within `tolerance` of the exact ones.

        Args:
            query: float [steps, width] from `embed`.
            half: of n events, from `half`.

        Returns:
            float32 [n], the higher the more similar.
        """
        with torch.inference_mode():
            return self._ranker.ranks(_single(query), half).numpy()

    @property
    def candidates(self) -> int:
        """How many events with the closest sketches a search scores at least; without a sketch it scores all."""
        return DEPTH if self.sketch is None else self.sketch.candidates

    @property
    def tagged(self) -> bool:
        """Whether the network tags clips, so that their presence comes with their towers."""
        return self._tagged is not None

    def best(
        self,
        query: Towers,
        events: Towers,
        k: int,
        half: Any = None,  # noqa: ANN401
        newest: npt.NDArray[np.int64] | None = None,
    ) -> Best:
        """The k events most similar to a query, exactly.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`; n may be 0.
            k: at least 1.
            half: of the events, from `half`, if it is known already.
            newest: of equals the one with the largest number comes first, int64 [n]; by default the first row.

        Returns:
            Rows int64 [m], ranks float32 [m] and presence matrices float32 [m, 8, 3], the best first; m is min(k, n).
        """
        few = max(_FIRST, 2 * k)
        if len(events) <= few:
            rows = np.arange(len(events))
            matrices, ranks = self._exactly(query, events)
        else:
            quick = self.ranks(query, half) if half is not None else self._quickly(query, events)
            rows = np.sort(np.argpartition(-quick, few)[:few])
            matrices, ranks = self._exactly(query, events[rows])
            quick[rows] = -np.inf
            others = np.flatnonzero(quick >= np.partition(ranks, -k)[-k] - self.tolerance)
            if len(others):
                theirs, their_ranks = self._exactly(query, events[others])
                rows, ranks = np.concatenate([rows, others]), np.concatenate([ranks, their_ranks])
                matrices = np.concatenate([matrices, theirs])
        order, ranks, matrices = _foremost(ranks, matrices, -rows if newest is None else newest[rows], k)
        return rows[order], ranks, matrices

    def best_of_each(
        self, queries: Towers, events: Towers, k: int, newest: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], Ranks, Probabilities]:
        """`best` of many queries, each of n events of its own; of a tagged network all at once.

        Args:
            queries: float [q, steps, width] from `embed`, q at least 1.
            events: float [q, n, steps, width] from `embed`; n may be 0.
            k: at least 1.
            newest: int64 [q, n], as of `best`.

        Returns:
            Rows int64 [q, m], ranks float32 [q, m] and presence matrices float32 [q, m, 8, 3]; m is min(k, n).
        """
        if self._tagged is None:
            asked = zip(queries, events, newest, strict=True)
            found = [self.best(query, own, k, newest=times) for query, own, times in asked]
            rows, ranks, matrices = (np.stack(column) for column in zip(*found, strict=True))
            return rows, ranks, matrices
        with torch.inference_mode():
            own, theirs = _single(queries), self._ranker.half(_single(events))
            ranks = self._ranker.ranks(own, theirs).numpy()
            rows = np.lexsort((-newest, -ranks))[:, :k]
            best = torch.take_along_dim(theirs[..., :COUNT], torch.from_numpy(rows)[..., None], dim=1)
            matrices = implied(own[..., :COUNT], best).numpy()
        return rows, np.take_along_axis(ranks, rows, axis=1), matrices

    def _quickly(self, query: Towers, events: Towers) -> Ranks:
        """Ranks within `tolerance`, halves made on the way."""
        parts = (events[start : start + _QUICK] for start in range(0, len(events), _QUICK))
        return np.concatenate([self.ranks(query, self.half(part)) for part in parts])

    def _exactly(self, query: Towers, events: Towers) -> tuple[Probabilities, Ranks]:
        matrices = self.score(query, events)
        return matrices, self.rank(query, events, matrices)

    def affinities(self, queries: Towers, events: Towers) -> npt.NDArray[np.float32]:
        """Affinity of each query and event, as of `TaggedNetwork.affinity`; 0 of other networks.

        Args:
            queries: float [q, steps, width] from `embed`.
            events: float [n, steps, width] from `embed`.

        Returns:
            float32 [q, n], in [0, 1].
        """
        if self._tagged is None:
            return np.zeros((len(queries), len(events)), dtype=np.float32)
        own, theirs = (towers[:, 0, COUNT:].astype(np.float32) for towers in (queries, events))
        return np.asarray(np.square(np.clip(own @ theirs.T, 0.0, 1.0)), dtype=np.float32)

    def presence(self, towers: Towers) -> npt.NDArray[np.float32]:
        """Probability that each event contains each category.

        A tagged network tags each clip (its shift, which serves comparing, is taken back); of another network it is
        P(both) of the event paired with itself.

        Args:
            towers: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, 8], in [0, 1].

        Raises:
            Invalid: another shape.
        """
        self._check(towers, "events")
        if self._tagged is not None:
            shifted = _single(towers[:, 0, :COUNT])
            return torch.sigmoid(torch.logit(shifted) - self._tagged.shift).numpy()
        return self._in_blocks(None, towers)[:, :, BOTH]

    def _check(self, towers: Towers, what: str) -> None:
        if towers.ndim != 3 or towers.shape[1:] != self.tower_shape:
            raise Invalid(f"{what} want towers of {list(self.tower_shape)} each, got {list(towers.shape)}")

    def _in_blocks(self, query: Towers | None, events: Towers) -> Probabilities:
        """Score blocks against one query, or each event against itself."""
        out = np.empty((len(events), COUNT, SITUATIONS), dtype=np.float32)
        with torch.inference_mode():
            one = None if query is None else _single(query[None])
            for start in range(0, len(events), self._block):
                block = _single(events[start : start + self._block])
                out[start : start + self._block] = self._pairs(one, block).numpy()
        return out


def _single(towers: Towers) -> Tensor:
    """Towers as float32: by torch, which takes a hundredth of numpy's time."""
    return torch.from_numpy(np.require(towers, requirements="W")).float()


def _implied(query: Tensor | None, events: Tensor) -> Tensor:
    """Presence matrices float32 [B, 8, 3] from the tags of a query [1, 1, W], or None for each event with itself."""
    tags = events[:, 0, :COUNT]
    return implied(tags if query is None else query[:, 0, :COUNT], tags)


def _foremost(ranks: Ranks, matrices: Probabilities, newest: npt.NDArray[np.int64], k: int) -> Best:
    """The k highest ranks; of equals those with the largest number first."""
    rows = np.arange(len(ranks))
    if k < len(ranks):
        rows = np.flatnonzero(ranks >= np.partition(ranks, -k)[-k])
    rows = rows[np.lexsort((-newest[rows], -ranks[rows]))][:k]
    return rows, ranks[rows], matrices[rows]


def _fingerprint(network: Network, sketch: torch.nn.Module | None) -> str:
    digest = hashlib.sha256(_LAYOUT)
    for part in (network, *(() if sketch is None else (sketch,))):
        for name, value in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
