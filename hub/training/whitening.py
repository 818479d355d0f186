"""Whitening within pairs: the closed form that the learning of identities starts from.

Directions in which two views of one source differ are made short; those stay in which sources then differ most.

Source: Hatch and Stolcke 2006 (within-class covariance normalisation); Fisher 1936 (the directions).
"""

import torch
from torch import Tensor


def whitening(first: Tensor, second: Tensor, domain: Tensor, values: int, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Centre and projection of views that are pairwise of the same source.

    Args:
        first: float32 [n, d], n at least 2.
        second: float32 [n, d].
        domain: bool [n], pairs like those that will be searched, at least one: the centre is theirs.
        values: directions to keep, at most d.
        shrinkage: share of a sphere of the same size in the covariance within pairs, which few pairs know badly; in
            [0, 1].

    Returns:
        float32 [d] and [values, d].
    """
    one, other = first.double(), second.double()
    means = (one + other) / 2.0
    difference = (one - other) / 2.0**0.5
    within = difference.t() @ difference / len(one)
    size = float(within.diagonal().mean()) or 1.0
    within = (1.0 - shrinkage) * within + shrinkage * size * torch.eye(len(within), dtype=torch.float64)
    whitened = torch.linalg.inv(torch.linalg.cholesky(within))
    spread = sum(_spread(means[part]) for part in (domain, ~domain))
    _, directions = torch.linalg.eigh(whitened @ spread @ whitened.t())  # ascending
    return means[domain].mean(dim=0).float(), (directions[:, -values:].flip(1).t() @ whitened).float()


def _spread(means: Tensor) -> Tensor:
    """Return the sum of squares about the mean, [d, d], of [n, d]; 0 of none."""
    if not len(means):
        return torch.zeros(means.shape[1], means.shape[1], dtype=means.dtype)
    around = means - means.mean(dim=0)
    return around.t() @ around
