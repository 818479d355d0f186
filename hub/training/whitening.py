"""Whitening within pairs: the closed form that the learning of identities starts from.

Directions in which two views of one source differ are made short; those stay in which sources then differ most.

Source: Hatch and Stolcke 2006 (within-class covariance normalisation); Fisher 1936 (the directions).
"""

import torch
from torch import Tensor


def whitening(first: Tensor, second: Tensor, values: int, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Centre and projection of views that are pairwise of the same source.

    Args:
        first: float32 [n, d], n at least 2.
        second: float32 [n, d].
        values: directions to keep, at most d.
        shrinkage: share of a sphere of the same size in the covariance within pairs, which few pairs know badly; in
            [0, 1].

    Returns:
        float32 [d] and [values, d].
    """
    one, other = first.double(), second.double()
    means = (one + other) / 2.0
    centre = means.mean(dim=0)
    difference = (one - other) / 2.0**0.5
    within = difference.t() @ difference / len(one)
    size = float(within.diagonal().mean()) or 1.0
    within = (1.0 - shrinkage) * within + shrinkage * size * torch.eye(len(within), dtype=torch.float64)
    whitened = torch.linalg.inv(torch.linalg.cholesky(within))
    spread = (means - centre).t() @ (means - centre) / len(one)
    _, directions = torch.linalg.eigh(whitened @ spread @ whitened.t())  # ascending
    return centre.float(), (directions[:, -values:].flip(1).t() @ whitened).float()
