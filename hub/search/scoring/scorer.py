"""Pair scoring with one checkpoint: exact, and quick with an exact last word.

An event is kept as its tower output (of a network without towers, as its standardised features), with its identity
beside it if the checkpoint has one. `score` gives exact presence matrices. `ranks` orders many events at once: of a
Siamese network within a tolerance of the exact ranks, of a tagged network, which has no pair layers, as exactly as
float32 goes. `hub.search.scoring.top_k` ranks quickly, then scores exactly whatever may be among the best.
numpy in and out; torch is inside.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from hub.domain.match import MatchProbabilities
from hub.domain.presence_matrix import BOTH, PAIR_STATES, level_of_similarity
from hub.model.checkpoint import Checkpoint
from hub.model.match_probability import match_probability
from hub.search.backend import By, Towers
from hub.search.candidates import DEPTH
from hub.search.scoring.embedding_layout import Layout, as_tensor
from hub.search.scoring.fingerprint import fingerprint
from hub.search.scoring.identities import Identities
from hub.search.scoring.network_parts import network_parts
from hub.search.scoring.rankers import Half
from hub.search.scoring.sketches import Cosine, Sketch
from shared.errors import InvalidError
from shared.feature_space import Features
from shared.taxonomy import COUNT

Probabilities = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.float32]

BLOCK: Final = 256
"""Events scored exactly at once: keeps the working set (10 MB for ten steps) near the processor's caches."""

_CLIPS: Final = 64
"""Clips whose towers are computed at once, for the caches' sake."""

_LIKE_EXACT: Final = 1e-4
"""Cosines of identities are so close to exact ones, whatever the order of summation."""


class Scorer:
    """Scores queries against events with one checkpoint.

    Args:
        checkpoint: what to score with.
        block: most events scored exactly at once, from 1.

    Attributes:
        space: the feature space whose features `embed` takes.
        sketch: vectors whose inner product imitates the rank; None if the checkpoint has none.
        fingerprint: 16 hex digits that change with the weights, and with what is made of them.
        record: training record of the checkpoint.
        tags: scores by tags, of a network that tags clips, so that their presence comes with their towers; else None.
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
        self.space = checkpoint.space
        self._network = checkpoint.network.eval()
        self._calibration = checkpoint.calibration
        self.identities = Identities(checkpoint.identity)
        self.layout = Layout(self._network.config.steps, self._network.config.width, self.identities.values)
        parts = network_parts(checkpoint, self.layout, block)
        self._tower, self._pairs, self._ranker, self.tags = parts.tower, parts.pairs, parts.ranker, parts.tags
        cosine = Cosine(self.layout, self.identities) if self.identities.known else None
        self.sketch = None if parts.sketch is None else Sketch(parts.sketch, cosine)
        self.tolerance = self._ranker.tolerance
        self.fingerprint = fingerprint(checkpoint)
        self.record = checkpoint.record

    @property
    def tower_shape(self) -> tuple[int, int]:
        """Shape of what `embed` gives of one event: (steps, width)."""
        return self.layout.shape

    def embed(self, features: Features) -> npt.NDArray[np.float32]:
        """Compute what the index keeps of each event.

        Args:
            features: uint8 [n, frames, dimension] of this feature space; n may be 0.

        Returns:
            float32 [n, steps, width].

        Raises:
            InvalidError: another shape or dtype.
        """
        if features.dtype != np.uint8 or features.shape[1:] != self.space.shape:
            raise InvalidError(
                f"{self.space.id} wants uint8 [n, {self.space.frames}, {self.space.dimension}],"
                f" got {features.dtype} {list(features.shape)}"
            )
        towers = np.empty((len(features), *self.tower_shape), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(features), _CLIPS):
                part = torch.from_numpy(self.space.dequantise(features[start : start + _CLIPS]))
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
            own, theirs = (self.layout.identity(as_tensor(towers)) for towers in (query[..., None, :, :], events))
            return self.identities.cosines(own[..., 0, :], theirs).numpy()

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
            events: float [n, steps, width] from `embed`: by both, all that are searched, the newest last.
            matrices: float32 [n, 8, 3], their `score`.
            by: what is asked for.

        Returns:
            float32 [n], the higher the more similar.

        Raises:
            UnsupportedError: by source, and the checkpoint has no identity.
        """
        levels = level_of_similarity(matrices)
        if self.tags is not None:
            levels += self.tags.weight * self.tags.affinities(query[None], events)[0]
        cosines = self.cosines(query, events)
        ranks = self.identities.ranks(by, levels, cosines)
        closest = self.identities.closest(by, cosines[None], np.arange(len(events))[None])
        return np.asarray(closest.raised(ranks[None])[0], dtype=np.float32)

    def attention(self, query: Features, event: Features) -> npt.NDArray[np.float32]:
        """Return the weight of each time step of a query in each category, paired with an event.

        Args:
            query: uint8 [frames, dimension] of this feature space.
            event: the same.

        Returns:
            float32 [steps, 8]; sums to 1 over the steps, which divide the clip evenly.
        """
        pair = (torch.from_numpy(self.space.dequantise(clip[None])) for clip in (query, event))
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
            towers = as_tensor(events)
            return Half(self._ranker.precompute(self.layout.network(towers)), self.layout.identity(towers))

    def ranks(self, query: Towers, half: Half, by: By = By.KIND) -> Ranks:
        """Ranks of one query and many events, within `tolerance_of(by)` of exact ones; without kept places.

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
                own = self.layout.identity(as_tensor(query)[..., None, :, :])[..., 0, :]
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
            own = as_tensor(query)
            cosines = self.identities.cosines(self.layout.identity(own[..., None, :, :])[..., 0, :], half.identity)
            return self._ranker.ranks(self.layout.network(own), half.kind).numpy(), cosines.numpy()

    def tolerance_of(self, by: By) -> float:
        """Ranks by this, as of `ranks`, are at most so far from exact ones."""
        return _LIKE_EXACT if by is By.SOURCE else self.tolerance

    @property
    def candidates(self) -> int:
        """Minimum number of events with the closest sketches that a search scores; without a sketch it scores all."""
        return DEPTH if self.sketch is None else self.sketch.candidates

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
        if self.tags is not None:
            return self.tags.presence(towers)
        return self._in_blocks(None, towers)[:, :, BOTH]

    def _check(self, towers: Towers, what: str) -> None:
        if towers.ndim != 3 or towers.shape[1:] != self.tower_shape:
            raise InvalidError(f"{what} want towers of {list(self.tower_shape)} each, got {list(towers.shape)}")

    def _in_blocks(self, query: Towers | None, events: Towers) -> Probabilities:
        """Score blocks against one query, or each event against itself."""
        out = np.empty((len(events), COUNT, PAIR_STATES), dtype=np.float32)
        with torch.inference_mode():
            one = None if query is None else self.layout.network(as_tensor(query[None]))
            for start in range(0, len(events), self._block):
                block = self.layout.network(as_tensor(events[start : start + self._block]))
                out[start : start + self._block] = self._pairs(one, block).numpy()
        return out
