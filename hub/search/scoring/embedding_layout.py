"""Positions of a clip's tower output and its identity in the one array that everything passes around.

Of a network with one step, the identity's values are the last columns of its row. Of a network with several, they
fill further rows, the last of them padded with zeros.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.identity import STEPS
from hub.search.backend import Towers

Floats = TypeVar("Floats", npt.NDArray[np.float32], npt.NDArray[np.float16], Towers, Tensor)
"""float [..., *shape]."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of one clip's array.

    Attributes:
        steps: rows of the network's tower output.
        width: columns of it.
        values: values of the identity; 0 without one.
    """

    steps: int
    width: int
    values: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array."""
        if self.steps == 1:
            return (1, self.width + self.values)
        return (self.steps + -(-self.values // self.width), self.width)

    def network(self, towers: Floats) -> Floats:
        """Return the network's own tower output, a view [..., steps, width]."""
        return towers[..., : self.steps, : self.width]

    def identity(self, towers: Floats) -> Floats:
        """Return the identity, [..., values]; of length 1, but for rounding."""
        if self.steps == 1:
            return towers[..., 0, self.width :]
        rows = towers[..., self.steps :, :]
        return rows.reshape((*towers.shape[:-2], rows.shape[-2] * self.width))[..., : self.values]

    def put(self, towers: npt.NDArray[np.float32], identities: npt.NDArray[np.float32]) -> None:
        """Write identities, float32 [n, values], into towers, float32 [n, *shape]."""
        if self.steps == 1:
            towers[:, 0, self.width :] = identities
        elif self.values:
            padded = np.zeros((len(towers), towers[0, self.steps :].size), dtype=np.float32)
            padded[:, : self.values] = identities
            towers[:, self.steps :] = padded.reshape(len(towers), -1, self.width)

    def archived(self, towers: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int8]]:
        """Return the part of one clip's array that the archive keeps, [*shape].

        Returns:
            The network's own output, float16 [steps * width]; the identity, int8 [values], in steps of 1 / 127.
        """
        own = towers.astype(np.float32)
        identity = np.rint(self.identity(own) * STEPS).astype(np.int8)
        return self.network(own).astype(np.float16).ravel(), identity

    def from_archive(
        self, network: npt.NDArray[np.float16], identity: npt.NDArray[np.int8]
    ) -> npt.NDArray[np.float32] | None:
        """One clip's array, float32 [*shape], of what `archived` gave; None if that is of another layout."""
        if network.size != self.steps * self.width or identity.size != self.values:
            return None
        towers = np.zeros((1, *self.shape), dtype=np.float32)
        self.network(towers)[0] = network.reshape(self.steps, self.width)
        self.put(towers, identity[None].astype(np.float32) / np.float32(STEPS))
        made: npt.NDArray[np.float32] = towers[0]
        return made


def as_tensor(towers: Towers) -> Tensor:
    """Return towers as float32: by torch, which takes a hundredth of numpy's time."""
    return torch.from_numpy(np.require(towers, requirements="W")).float()
