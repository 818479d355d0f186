"""Pair scoring with one checkpoint: exact, and quick with an exact last word.

An event is kept as its tower output (of a network without towers, as its standardised features), with its identity
beside it if the checkpoint has one. `score` gives exact presence matrices. `ranks` orders many events at once: of a
Siamese network within a tolerance of the exact ranks, of a tagged network, which has no pair layers, as exactly as
float32 goes. `hub.search.scoring.top_k` ranks quickly, then scores exactly whatever may be among the best.
numpy in and out; torch is inside.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.domain.match import MatchProbabilities
from hub.domain.presence_matrix import BOTH, PAIR_STATES, level_of_similarity
from hub.model.checkpoint import Checkpoint
from hub.model.match_probability import match_probability
from hub.model.tagger import TaggingEnsemble, presence_from_tags
from hub.search.backend import By, Towers
from hub.search.candidates import DEPTH
from hub.search.scoring.embedding_layout import Layout
from hub.search.scoring.fused_taggers import FusedTaggers
from hub.search.scoring.identities import Identities
from hub.search.scoring.int8 import ExactPairScorer, Int8PairScorer
from hub.search.scoring.rankers import ExactRanker, Ranker, TagRanker
from hub.search.scoring.sketches import Cosine, LearntSketch, Sketch, TagSketch
from shared.errors import InvalidError
from shared.feature_space import Features, FeatureSpace
from shared.taxonomy import COUNT

Probabilities = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.float32]

_LAYOUT: Final = b"2"
"""To be changed with whatever makes other towers or sketches of the same weights."""

BLOCK: Final = 256
"""Events scored exactly at once: keeps the working set (10 MB for ten steps) near the processor's caches."""

_CLIPS: Final = 64
"""Clips whose towers are computed at once, for the caches' sake."""

_LIKE_EXACT: Final = 1e-4
"""Cosines of identities are so close to exact ones, whatever the order of summation."""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """The part of `Scorer.ranks` for n events that does not depend on the query.

    Attributes:
        kind: as the ranker wants it.
        identity: float32 [n, values].
    """

    kind: Any
    identity: Tensor


class Scorer:
    """Scores queries against events with one checkpoint.

    Args:
        checkpoint: what to score with.
        block: most events scored exactly at once, from 1.

    Attributes:
        sketch: vectors whose inner product imitates the rank; None if the checkpoint has none.
        fingerprint: 16 hex digits that change with the weights, and with what is made of them.
        record: training record of the checkpoint.
        layout: what the arrays of `embed` hold, and where.
        identities: what the checkpoint knows of sources.
        tolerance: `ranks` by kind are at most so far from exact ones.

    Raises:
        InvalidError: a block below 1.
    """

    def __init__(self, checkpoint: Checkpoint, block: int = BLOCK) -> None:
        if block < 1:
            raise InvalidError(f"block {block} must be at least 1")
        self._block = block
        self._space = checkpoint.space
        self._network = checkpoint.network.eval()
        self._calibration = checkpoint.calibration
        self.identities = Identities(checkpoint.identity)
        self.layout = Layout(self._network.config.steps, self._network.config.width, self.identities.values)
        self._tagged = self._network if isinstance(self._network, TaggingEnsemble) else None
        own: LearntSketch | TagSketch | None = (
            None if checkpoint.sketch is None else LearntSketch(checkpoint.sketch, self.layout)
        )
        self._ranker: Ranker
        if isinstance(self._network, TaggingEnsemble):
            self._tower: Callable[[Tensor], Tensor] = FusedTaggers(self._network)
            self._pairs = _implied
            self._ranker = TagRanker(self._network)
            own = TagSketch(self._network, self.layout)
        else:
            self._tower = self._network.tower
            self._pairs = ExactPairScorer(self._network)
            quick = Int8PairScorer.is_supported(self._network)
            self._ranker = Int8PairScorer(self._network) if quick else ExactRanker(self._pairs, block)
        cosine = Cosine(self.layout, self.identities) if self.identities.known else None
        self.sketch = None if own is None else Sketch(own, cosine)
        self.tolerance = self._ranker.tolerance
        self.fingerprint = _fingerprint(checkpoint)
        self.record = checkpoint.record

    @property
    def space(self) -> FeatureSpace:
        """The feature space whose features `embed` takes."""
        return self._space

    @property
    def tower_shape(self) -> tuple[int, int]:
        """Shape of what `embed` gives of one event: (steps, width)."""
        return self.layout.shape

    @property
    def stores_embeddings(self) -> bool:
        """Return whether the archived part of `embed` takes at most half the bytes of features, and so is kept."""
        towers = self.layout.steps * self.layout.width * np.dtype(np.float16).itemsize
        frames, dimension = self._space.shape
        return 2 * (towers + self.layout.values) <= frames * dimension

    def embed(self, features: Features) -> npt.NDArray[np.float32]:
        """Compute what the index keeps of each event.

        Args:
            features: uint8 [n, frames, dimension] of this feature space; n may be 0.

        Returns:
            float32 [n, steps, width].

        Raises:
            InvalidError: another shape or dtype.
        """
        if features.dtype != np.uint8 or features.shape[1:] != self._space.shape:
            raise InvalidError(
                f"{self._space.id} wants uint8 [n, {self._space.frames}, {self._space.dimension}],"
                f" got {features.dtype} {list(features.shape)}"
            )
        towers = np.empty((len(features), *self.tower_shape), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(features), _CLIPS):
                part = torch.from_numpy(self._space.dequantise(features[start : start + _CLIPS]))
                own = towers[start : start + _CLIPS]
                self.layout.network(own)[:] = self._tower(part).numpy()
                self.layout.put(own, self.identities.of(part).numpy())
        return towers

    def identity(self, towers: Towers) -> npt.NDArray[np.float32]:
        """Return the identities of clips, which distinguish sources of one kind.

        Args:
            towers: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, values], of length 1; [n, 0] if the checkpoint has no identity.

        Raises:
            InvalidError: another shape.
        """
        self._check(towers, "events")
        made = self.layout.identity(towers).astype(np.float32)
        return np.asarray(made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12), dtype=np.float32)

    def cosines(self, query: Towers, events: Towers) -> Cosines:
        """Cosine of the identities of a query and each event.

        Args:
            query: float [steps, width] from `embed`; or [q, steps, width], each with n events of its own.
            events: float [n, steps, width] from `embed`, n may be 0; or [q, n, steps, width].

        Returns:
            float32 [n] or [q, n], in [-1, 1]; 0 if the checkpoint has no identity.
        """
        with torch.inference_mode():
            own, theirs = (self.layout.identity(_single(towers)) for towers in (query[..., None, :, :], events))
            return self.identities.cosines(own[..., 0, :], theirs).numpy()

    def same_source(self, cosines: npt.NDArray[np.floating], *, match: bool = True) -> npt.NDArray[np.float32]:
        """P(same source) of cosines, as calibrated.

        Args:
            cosines: floating [n], of identities.
            match: whether they are of a query and its best matches, which are there partly by luck; else of any pair.

        Returns:
            float32 [n], in [0, 1]; 0 if the checkpoint has no identity.
        """
        return self.identities.same_source(cosines, match=match)

    def score(self, query: Towers, events: Towers) -> Probabilities:
        """Presence matrices of one query paired with each event, exactly as the network gives them.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, 8, 3]; every row sums to 1.

        Raises:
            InvalidError: another shape.
        """
        self._check(query[None], "query")
        self._check(events, "events")
        return self._in_blocks(query, events)

    def rank(
        self, query: Towers, events: Towers, matrices: Probabilities, by: By = By.KIND
    ) -> npt.NDArray[np.float32]:
        """Rank events; see `By`. By kind: the level of similarity, and a tagged network's affinity too.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`.
            matrices: float32 [n, 8, 3], their `score`.
            by: what is asked for.

        Returns:
            float32 [n], the higher the more similar.

        Raises:
            UnsupportedError: by source, and the checkpoint has no identity.
        """
        levels = level_of_similarity(matrices)
        if self._tagged is not None:
            levels += np.float32(self._tagged.weight) * self.affinities(query[None], events)[0]
        return self.identities.ranks(by, levels, self.cosines(query, events))

    def attention(self, query: Features, event: Features) -> npt.NDArray[np.float32]:
        """Return the weight of each time step of a query in each category, paired with an event.

        Args:
            query: uint8 [frames, dimension] of this feature space.
            event: the same.

        Returns:
            float32 [steps, 8]; sums to 1 over the steps, which divide the clip evenly.
        """
        pair = (torch.from_numpy(self._space.dequantise(clip[None])) for clip in (query, event))
        with torch.inference_mode():
            return self._network.attention_weights(*pair)[0].numpy()

    def match_probability(self, ranks: npt.NDArray[np.float32], matrices: Probabilities) -> MatchProbabilities:
        """Probability that a query and each of its matches are the same kind of sound, per category.

        Args:
            ranks: float32 [n], of the matches.
            matrices: float32 [n, 8, 3], their presence matrices.

        Returns:
            float32 [n, 8], as of `hub.model.match_probability`.
        """
        return match_probability(self._calibration, ranks, matrices)

    def precompute(self, events: Towers) -> Half:
        """Compute the part of `ranks` that does not depend on the query; for `ranks` only.

        Args:
            events: float [n, steps, width] from `embed`, n at least 1.
        """
        with torch.inference_mode():
            towers = _single(events)
            return Half(self._ranker.precompute(self.layout.network(towers)), self.layout.identity(towers))

    def ranks(self, query: Towers, half: Half, by: By = By.KIND) -> Ranks:
        """Ranks of one query and many events, within `tolerance_of(by)` of the exact ones.

        Args:
            query: float [steps, width] from `embed`.
            half: of n events, from `half`.
            by: what is asked for; as of `rank`.

        Returns:
            float32 [n], the higher the more similar.

        Raises:
            UnsupportedError: by source, and the checkpoint has no identity.
        """
        if by is By.SOURCE and self.identities.known:
            with torch.inference_mode():
                own = self.layout.identity(_single(query)[..., None, :, :])[..., 0, :]
                return self.identities.cosines(own, half.identity).numpy()
        return self.identities.ranks(by, *self.kind_and_cosines(query, half))

    def kind_and_cosines(self, query: Towers, half: Half) -> tuple[Ranks, Cosines]:
        """Ranks by kind as of `ranks`, and cosines of the identities, of one query and many events.

        Args:
            query: float [steps, width] from `embed`; of a tagged network also [q, steps, width].
            half: of n events, from `half`; or of [q, n].

        Returns:
            float32 [n] or [q, n] each.
        """
        with torch.inference_mode():
            own = _single(query)
            cosines = self.identities.cosines(self.layout.identity(own[..., None, :, :])[..., 0, :], half.identity)
            return self._ranker.ranks(self.layout.network(own), half.kind).numpy(), cosines.numpy()

    def tolerance_of(self, by: By) -> float:
        """Ranks by this, as of `ranks`, are at most so far from exact ones."""
        return _LIKE_EXACT if by is By.SOURCE else self.tolerance

    @property
    def candidates(self) -> int:
        """Minimum number of events with the closest sketches that a search scores; without a sketch it scores all."""
        return DEPTH if self.sketch is None else self.sketch.candidates

    @property
    def tagged(self) -> bool:
        """Return whether the network tags clips, so that their presence comes with their towers."""
        return self._tagged is not None

    def implied(self, queries: Towers, events: Towers) -> Probabilities:
        """Presence matrices of many queries, each with n events of its own, as a tagged network's tags imply them.

        Args:
            queries: float [q, steps, width] from `embed`.
            events: float [q, n, steps, width] from `embed`.

        Returns:
            float32 [q, n, 8, 3].
        """
        with torch.inference_mode():
            own, theirs = (_single(towers)[..., 0, :COUNT] for towers in (queries[:, None], events))
            return presence_from_tags(own, theirs).numpy()

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
        parts = (self.layout.network(towers)[:, 0, COUNT:] for towers in (queries, events))
        own, theirs = (profile.astype(np.float32) for profile in parts)
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
            InvalidError: another shape.
        """
        self._check(towers, "events")
        if self._tagged is not None:
            shifted = _single(towers[:, 0, :COUNT])
            return torch.sigmoid(torch.logit(shifted) - self._tagged.shift).numpy()
        return self._in_blocks(None, towers)[:, :, BOTH]

    def _check(self, towers: Towers, what: str) -> None:
        if towers.ndim != 3 or towers.shape[1:] != self.tower_shape:
            raise InvalidError(f"{what} want towers of {list(self.tower_shape)} each, got {list(towers.shape)}")

    def _in_blocks(self, query: Towers | None, events: Towers) -> Probabilities:
        """Score blocks against one query, or each event against itself."""
        out = np.empty((len(events), COUNT, PAIR_STATES), dtype=np.float32)
        with torch.inference_mode():
            one = None if query is None else self.layout.network(_single(query[None]))
            for start in range(0, len(events), self._block):
                block = self.layout.network(_single(events[start : start + self._block]))
                out[start : start + self._block] = self._pairs(one, block).numpy()
        return out


def _single(towers: Towers) -> Tensor:
    """Towers as float32: by torch, which takes a hundredth of numpy's time."""
    return torch.from_numpy(np.require(towers, requirements="W")).float()


def _implied(query: Tensor | None, events: Tensor) -> Tensor:
    """Presence matrices float32 [B, 8, 3] from the tags of a query [1, 1, W], or None for each event with itself."""
    tags = events[:, 0, :COUNT]
    return presence_from_tags(tags if query is None else query[:, 0, :COUNT], tags)


def _fingerprint(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256(_LAYOUT)
    identity = checkpoint.identity
    parts = (checkpoint.network, checkpoint.sketch, None if identity is None else identity.network)
    for part in parts:
        for name, value in () if part is None else sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
