"""Sketches as the search backends use them: numpy in and out, either trained or computed from tags.

Decision: docs/decisions/0008.
"""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.sketch import SketchNetwork
from hub.model.tagger import TaggingEnsemble
from hub.search.backend import By, Towers
from hub.search.scoring.embedding_layout import Layout
from hub.search.scoring.identities import Identities
from shared.taxonomy import COUNT

Sketches = npt.NDArray[np.float32]

VALUES: Final = 64
"""Most values of a tagged network's sketch."""

_SLOPE: Final = 1.5
"""Slope of the square between 1/2 and 1, where the cosines of similar clips lie."""
_BLOCK: Final = 4096


class Part(Protocol):
    """A part of a sketch: vectors whose inner product imitates a part of the rank of a pair."""

    @property
    def width(self) -> int:
        """Values of one vector."""
        ...

    @property
    def limits(self) -> Sketches | None:
        """The largest that each value of an event can be, without its sign, float32 [width]; None if not known."""
        ...

    def of_queries(self, towers: Towers) -> Sketches:
        """Vectors of queries, float [n, steps, width]: float32 [n, self.width]."""
        ...

    def of_events(self, towers: Towers) -> Sketches:
        """Vectors of events, float [n, steps, width]: float32 [n, self.width]."""
        ...


class Sketch:
    """Vectors whose inner products imitate the rank of a pair, by kind, source or both: the larger, the more similar.

    Args:
        kind: imitates the rank by kind.
        cosine: the cosine of the identities; None without identities.

    Attributes:
        parts: one after the other.
        width: values of all parts.
        candidates: how many of the closest events are scored exactly at least, so that hardly any of the ten best is
            missed.
    """

    def __init__(self, kind: "LearntSketch | TagSketch", cosine: "Cosine | None") -> None:
        self.kind = kind
        self.cosine = cosine
        self.parts: tuple[Part, ...] = (kind,) if cosine is None else (kind, cosine)
        self.width = sum(part.width for part in self.parts)
        self.candidates = kind.candidates

    def of_queries(self, towers: Towers, by: By = By.KIND) -> list[Sketches]:
        """Sketches of queries, for a search engine that knows inner products only.

        By both, what a cosine is worth is the larger of 0 and a straight line. So is the rank the larger of two inner
        products, and the best events are among the closest to one or the other sketch. Where an event that stands out
        by source keeps a place, the second asks for the closest by source alone: only they rank higher than by kind.

        Args:
            towers: float [n, steps, width].
            by: what events are ranked by.

        Returns:
            One sketch of each query, or two: float32 [n, self.width] each.
        """
        kind = self.kind.of_queries(towers)
        if self.cosine is None:
            return [kind]
        cosine = self.cosine.of_queries(towers)
        none = np.zeros_like(cosine)
        match by:
            case By.KIND:
                parts = [(kind, none)]
            case By.SOURCE:
                parts = [(np.zeros_like(kind), cosine)]
            case By.BOTH:
                level = np.float32(self.kind.level)
                together = (level * kind, np.float32(self.cosine.slope) * cosine)
                parts = [(kind, none), (np.zeros_like(kind), cosine) if self.cosine.keeps_places else together]
        return [np.concatenate(part, axis=1) for part in parts]

    def of_events(self, towers: Towers) -> Sketches:
        """Sketches of events, float [n, steps, width]: float32 [n, self.width]."""
        return np.concatenate([part.of_events(towers) for part in self.parts], axis=1)


class LearntSketch:
    """The trained sketch of a Siamese checkpoint; by kind.

    Its inner products rise by 2.5 a level, as its teaching compares a softmax of either:
    `hub.training.sketch_training`.

    Attributes:
        level: how many levels an inner product of 1 is.
    """

    candidates = 1_000
    limits = None
    level = 0.4

    def __init__(self, network: SketchNetwork, layout: Layout) -> None:
        self._network = network.eval()
        self._layout = layout
        self.width = network.config.values

    def of_queries(self, towers: Towers) -> Sketches:
        """See `Part`."""
        with torch.inference_mode():
            return self._network.of_queries(self._own(towers)).numpy()

    def of_events(self, towers: Towers) -> Sketches:
        """See `Part`."""
        made = np.empty((len(towers), self.width), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(towers), _BLOCK):
                made[start : start + _BLOCK] = self._network.of_events(self._own(towers[start : start + _BLOCK]))
        return made

    def _own(self, towers: Towers) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._layout.network(towers), dtype=np.float32))


class TagSketch:
    """The sketch of a tagged network: the level as it is, the affinity made linear; by kind.

    The level of two clips' tags a and b is 4 + sum (2a - 1)(2b - 1) / 2: an inner product already. The affinity, the
    square of a cosine, is imitated by the cosine of the profiles' leading values, which hold the most, times the
    square's slope between cosines of 1/2 and 1.
    """

    candidates = 200
    level = 1.0

    def __init__(self, network: TaggingEnsemble, layout: Layout) -> None:
        self._layout = layout
        self._kept = min(network.config.profile, VALUES - COUNT)
        self._scale = (_SLOPE * float(network.weight)) ** 0.5
        self.width = COUNT + self._kept
        self.limits = np.full(self.width, self._scale, dtype=np.float32)
        self.limits[:COUNT] = 0.5**0.5

    def of_queries(self, towers: Towers) -> Sketches:
        """See `Part`."""
        values = self._layout.network(towers)[:, 0, : COUNT + self._kept].astype(np.float32)
        values[:, :COUNT] = (2.0 * values[:, :COUNT] - 1.0) / np.sqrt(2.0)
        values[:, COUNT:] *= self._scale
        return values

    def of_events(self, towers: Towers) -> Sketches:
        """See `Part`."""
        return self.of_queries(towers)


class Cosine:
    """The identities themselves.

    Args:
        layout: of the towers.
        identities: what a cosine is worth.

    Attributes:
        floor: cosine up to which it is worth nothing.
        slope: how much its worth rises with it above.
        keeps_places: whether an event that stands out keeps a place in a search by both.
    """

    def __init__(self, layout: Layout, identities: Identities) -> None:
        self._layout = layout
        self.floor = identities.floor
        self.slope = identities.slope
        self.keeps_places = identities.keep_places
        self.width = layout.values
        self.limits = np.ones(self.width, dtype=np.float32)

    def of_queries(self, towers: Towers) -> Sketches:
        """See `Part`."""
        return self._layout.identity(towers).astype(np.float32)

    def of_events(self, towers: Towers) -> Sketches:
        """See `Part`."""
        return self.of_queries(towers)
