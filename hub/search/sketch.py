"""Sketches as the search backends use them: numpy in and out, either learnt or read off tags.

Decision: docs/decisions/0008.
"""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch

from hub.model.sketch import SketchNetwork
from hub.model.tagged import TaggedNetwork
from hub.search.layout import Layout
from hub.search.match import By, Towers
from shared.taxonomy import COUNT

Sketches = npt.NDArray[np.float32]

VALUES: Final = 64
"""Most values of a tagged network's sketch."""

_SLOPE: Final = 1.5
"""Of the square between 1/2 and 1, where the cosines of similar clips lie."""
_BLOCK: Final = 4096


class Sketch(Protocol):
    """Vectors whose inner product imitates the rank of a pair: the larger, the more similar."""

    width: int
    candidates: int
    """How many of the closest events are scored exactly at least, so that hardly any of the ten best is missed."""
    slope: float
    """How much the inner product rises with the rank by kind."""

    def columns(self, by: By) -> slice:
        """Values of a sketch that matter by this; a query's others are 0."""
        ...

    def of_queries(self, towers: Towers, by: By = By.KIND) -> Sketches:
        """Sketches of queries, float [n, steps, width]: float32 [n, self.width]."""
        ...

    def of_events(self, towers: Towers) -> Sketches:
        """Sketches of events, float [n, steps, width]: float32 [n, self.width]."""
        ...


class Learnt:
    """The sketch that a Siamese checkpoint was taught; by kind.

    Its inner products are ranks stretched, as its teaching compares a softmax of either: `hub.training.sketch`.
    """

    candidates = 1_000
    slope = 2.5

    def __init__(self, network: SketchNetwork) -> None:
        self._network = network.eval()
        self.width = network.config.values

    def columns(self, by: By) -> slice:  # noqa: ARG002 - one interface with others
        """See `Sketch`."""
        return slice(0, self.width)

    def of_queries(self, towers: Towers, by: By = By.KIND) -> Sketches:  # noqa: ARG002
        """See `Sketch`."""
        with torch.inference_mode():
            return self._network.of_queries(torch.from_numpy(towers).float()).numpy()

    def of_events(self, towers: Towers) -> Sketches:
        """See `Sketch`."""
        made = np.empty((len(towers), self.width), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(towers), _BLOCK):
                part = torch.from_numpy(towers[start : start + _BLOCK]).float()
                made[start : start + _BLOCK] = self._network.of_events(part).numpy()
        return made


class Tagged:
    """The sketch of a tagged network: the level as it is, the affinity made linear; by kind.

    The level of two clips' tags a and b is 4 + sum (2a - 1)(2b - 1) / 2: an inner product already. The affinity, the
    square of a cosine, is imitated by the cosine of the profiles' leading values, which hold the most, times the
    square's slope between cosines of 1/2 and 1.
    """

    candidates = 200
    slope = 1.0

    def __init__(self, network: TaggedNetwork) -> None:
        self._kept = min(network.config.profile, VALUES - COUNT)
        self._scale = (_SLOPE * float(network.weight)) ** 0.5
        self.width = COUNT + self._kept

    def columns(self, by: By) -> slice:  # noqa: ARG002 - one interface with others
        """See `Sketch`."""
        return slice(0, self.width)

    def of_queries(self, towers: Towers, by: By = By.KIND) -> Sketches:  # noqa: ARG002
        """See `Sketch`."""
        values = towers[:, 0, : COUNT + self._kept].astype(np.float32)
        values[:, :COUNT] = (2.0 * values[:, :COUNT] - 1.0) / np.sqrt(2.0)
        values[:, COUNT:] *= self._scale
        return values

    def of_events(self, towers: Towers) -> Sketches:
        """See `Sketch`."""
        return self.of_queries(towers)


class WithIdentity:
    """A sketch by kind with the identity behind it, so that one vector serves searches by kind, source and both.

    Args:
        kind: imitates the rank by kind.
        layout: of the towers.
        weight: how many levels a cosine of 1 is worth by both.
    """

    def __init__(self, kind: Sketch, layout: Layout, weight: float) -> None:
        self._kind = kind
        self._layout = layout
        self._factors = {By.KIND: (1.0, 0.0), By.SOURCE: (0.0, 1.0), By.BOTH: (1.0, kind.slope * weight)}
        self.candidates = kind.candidates
        self.slope = kind.slope
        self.width = kind.width + layout.values

    def columns(self, by: By) -> slice:
        """See `Sketch`."""
        kind, identity = self._factors[by]
        return slice(0 if kind else self._kind.width, self.width if identity else self._kind.width)

    def of_queries(self, towers: Towers, by: By = By.KIND) -> Sketches:
        """See `Sketch`."""
        kind, identity = self._factors[by]
        made = np.empty((len(towers), self.width), dtype=np.float32)
        made[:, : self._kind.width] = kind * self._kind.of_queries(self._layout.network(towers)) if kind else 0.0
        made[:, self._kind.width :] = identity * self._layout.identity(towers)
        return made

    def of_events(self, towers: Towers) -> Sketches:
        """See `Sketch`."""
        made = np.empty((len(towers), self.width), dtype=np.float32)
        made[:, : self._kind.width] = self._kind.of_events(self._layout.network(towers))
        made[:, self._kind.width :] = self._layout.identity(towers)
        return made
