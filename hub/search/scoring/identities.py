"""Identities as a scorer uses them: their cosines, what these mean, and ranks by kind and source together."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.domain.closest_source import Closest
from hub.model.identity import Identity
from hub.search.backend import By
from shared.errors import UnsupportedError

Ranks = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float32]


class Identities:
    """The identities of a checkpoint, which distinguish sources; there may be none.

    Args:
        identity: of the checkpoint, if it has one.

    Attributes:
        values: of one identity; 0 without.
    """

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity
        self.values = 0 if identity is None else identity.network.eval().config.values

    def without_places(self) -> "Identities":
        """Return the same identities, of which none keeps a place in a search by both."""
        return Identities(None if self._identity is None else replace(self._identity, margins=None))

    @property
    def known(self) -> bool:
        """Return whether there is an identity."""
        return self._identity is not None

    @property
    def ways(self) -> tuple[By, ...]:
        """Values that events can be ranked by, each differently."""
        return tuple(By) if self.known else (By.BOTH,)

    def of(self, features: Tensor) -> Tensor:
        """Identities float32 [n, values] of dequantised features, float32 [n, frames, dimension]."""
        return torch.empty(len(features), 0) if self._identity is None else self._identity.network(features)

    def cosines(self, own: Tensor, theirs: Tensor) -> Tensor:
        """Cosines [..., n] of identities [..., values] and [..., n, values]; 0 without an identity."""
        return (own[..., None, :] @ theirs.mT)[..., 0, :].clamp_(-1.0, 1.0)  # theirs @ own takes far longer

    def same_source(self, cosines: npt.NDArray[np.floating], *, match: bool = True) -> npt.NDArray[np.float32]:
        """P(same source) of cosines, as calibrated.

        Args:
            cosines: floating [n], of identities.
            match: whether they are of a query and its best matches, which are there partly by luck; else of any pair.

        Returns:
            float32 [n], in [0, 1]; 0 without an identity.
        """
        if self._identity is None:
            return np.zeros(np.shape(cosines), dtype=np.float32)
        return (self._identity.match if match else self._identity.pair)(cosines)

    def worth(self, cosines: Tensor) -> Tensor:
        """Return what cosines float32 [...] add to the rank, in levels: float32 [...]; 0 without an identity."""
        return torch.zeros_like(cosines) if self._identity is None else self._identity.network.worth(cosines)

    @property
    def floor(self) -> float:
        """The cosine up to which it is worth nothing."""
        return 0.0 if self._identity is None else float(self._identity.network.floor)

    @property
    def slope(self) -> float:
        """Slope of `worth` above the floor of its cosine."""
        return 0.0 if self._identity is None else float(self._identity.network.weight) / (1.0 - self.floor)

    @property
    def keep_places(self) -> bool:
        """Return whether an event that stands out by source keeps a place in a search by both."""
        return self._identity is not None and self._identity.margins is not None

    def closest(self, by: By, cosines: Cosines, newest: npt.NDArray[np.int64]) -> Closest:
        """Return the event closest by source to each query, which keeps a place if it stands out; by both only.

        Args:
            by: what events are ranked by.
            cosines: float32 [q, n], of queries and all events, or of those closest by source at least.
            newest: int64 [q, n]; of equal cosines the event with the largest number is closest.
        """
        return Closest.of(cosines, newest, self._identity.margins if self._identity and by is By.BOTH else None)

    def ranks(self, by: By, kind: Ranks, cosines: Cosines) -> Ranks:
        """Ranks by what is asked for, of ranks by kind and cosines, float32 [...] each; without kept places.

        Raises:
            UnsupportedError: see `check`.
        """
        self.check(by)
        if by is By.SOURCE:
            return cosines
        return kind if by is By.KIND or not self.known else kind + self.worth(torch.from_numpy(cosines)).numpy()

    def check(self, by: By) -> None:
        """Verify that events can be ranked so.

        Raises:
            UnsupportedError: by source, and there is no identity.
        """
        if by is By.SOURCE and not self.known:
            raise UnsupportedError("this feature space's model does not distinguish sources: search by kind or both")
