"""A linear tagger on any features: what a backbone is worth before anything clever is done with it.

Mean and maximum over time of each value, standardised, logistic regression per category; clips are ranked by the
expected number of categories on which they agree. `hub.training.cross_validation` compares feature spaces with it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.training.benchmark import Benchmark, Rank
from hub.training.dataset import Dataset

L2: Final = 0.01
"""Penalty on squared weights."""
_ITERATIONS: Final = 300


@dataclass(frozen=True, slots=True, eq=False)
class LinearProbe:
    """Weights of the eight categories.

    Attributes:
        mean: float64 [2 * dimension], of the training clips.
        deviation: float64 [2 * dimension].
        weight: float64 [2 * dimension, 8].
        bias: float64 [8].
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, data: Dataset) -> "LinearProbe":
        """Fit the tagger to clips; the same clips give the same tagger."""
        values = _pooled(data)
        mean, deviation = values.mean(dim=0), values.std(dim=0, correction=min(1, len(values) - 1)) + 1e-3
        values, labels = (values - mean) / deviation, torch.from_numpy(data.labels).double()
        weight = torch.zeros(values.shape[1], labels.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(labels.shape[1], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS)

        def loss() -> Tensor:
            optimiser.zero_grad()
            found = torch.nn.functional.binary_cross_entropy_with_logits(values @ weight + bias, labels)
            found = found + L2 * weight.square().sum()
            found.backward()  # type: ignore[no-untyped-call]
            return found

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        return cls(mean, deviation, weight.detach(), bias.detach())

    def tags(self, data: Dataset) -> npt.NDArray[np.float64]:
        """Probability of each category in each clip: float64 [n, 8]."""
        values = (_pooled(data) - self.mean) / self.deviation
        return np.asarray(torch.sigmoid(values @ self.weight + self.bias).numpy(), dtype=np.float64)


def by_linear_tagger(benchmark: Benchmark, tagger: LinearProbe) -> Rank:
    """Return the expected number of categories on which a query and an event agree, as a linear tagger tags both."""
    queries, database = tagger.tags(benchmark.queries), tagger.tags(benchmark.database)
    return lambda query: np.asarray(
        database @ queries[query] + (1.0 - database) @ (1.0 - queries[query]), dtype=np.float32
    )


def _pooled(data: Dataset) -> Tensor:
    values = torch.from_numpy(data.space.dequantise(data.features)).double()
    return torch.cat([values.mean(dim=1), values.amax(dim=1)], dim=1)
