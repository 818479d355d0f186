"""Identities of sources: their cosines, calibrated probabilities, and ranks by kind and source."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.identity import Identity
from hub.search.backend import By
from shared.errors import UnsupportedError

Ranks = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float32]


class Identities:
    """Compares sources with a checkpoint's identity network; without one, all results are 0.

    Args:
        identity: identity of the checkpoint; None if it has none.

    Attributes:
        values: number of values of one identity; 0 without.
    """

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity
        self.values = 0 if identity is None else identity.network.eval().config.values

    @property
    def known(self) -> bool:
        """Return whether the checkpoint has an identity."""
        return self._identity is not None

    @property
    def ways(self) -> tuple[By, ...]:
        """Return the criteria that give different rankings."""
        return tuple(By) if self.known else (By.BOTH,)

    def of(self, features: Tensor) -> Tensor:
        """Compute identities float32 [n, values] of dequantised features, float32 [n, frames, dimension]."""
        return torch.empty(len(features), 0) if self._identity is None else self._identity.network(features)

    def cosines(self, own: Tensor, theirs: Tensor) -> Tensor:
        """Return cosines [..., n] of identities [..., values] and [..., n, values]; 0 without an identity."""
        return (own[..., None, :] @ theirs.mT)[..., 0, :].clamp_(-1.0, 1.0)  # theirs @ own takes far longer

    def same_source(self, cosines: npt.NDArray[np.floating], *, match: bool) -> npt.NDArray[np.float32]:
        """Return P(same source) for cosines of matches or any pairs: float32, same shape; 0 without an identity."""
        if self._identity is None:
            return np.zeros(np.shape(cosines), dtype=np.float32)
        return (self._identity.match if match else self._identity.pair)(cosines)

    def worth(self, cosines: Tensor) -> Tensor:
        """Return what cosines float32 [...] add to the rank by kind, in levels: float32 [...]; 0 without identity."""
        return torch.zeros_like(cosines) if self._identity is None else self._identity.network.worth(cosines)

    @property
    def floor(self) -> float:
        """Return the cosine up to which `worth` is 0."""
        return 0.0 if self._identity is None else float(self._identity.network.floor)

    @property
    def slope(self) -> float:
        """Return the slope of `worth` above its floor."""
        return 0.0 if self._identity is None else float(self._identity.network.weight) / (1.0 - self.floor)

    def ranks(self, by: By, kind: Ranks, cosines: Cosines) -> Ranks:
        """Return ranks by a criterion from ranks by kind and cosines, float32 [...] each.

        Raises:
            Unsupported: see `check`.
        """
        self.check(by)
        if by is By.SOURCE:
            return cosines
        return kind if by is By.KIND or not self.known else kind + self.worth(torch.from_numpy(cosines)).numpy()

    def check(self, by: By) -> None:
        """Verify that events can be ranked by a criterion.

        Raises:
            Unsupported: by source, without an identity.
        """
        if by is By.SOURCE and not self.known:
            raise UnsupportedError("this feature space's model does not distinguish sources: search by kind or both")
