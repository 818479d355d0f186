"""The sketch of a Siamese network: a few values of each clip whose inner product imitates the pair score.

Scoring a pair takes layers; an inner product takes one pass over memory. A search therefore looks at the sketches of
all events and scores exactly only those whose sketches are closest. Query and event have heads of their own, because
the pair network treats them differently; the event's last value is a bias of its own.
Taught by `hub.training.sketch`, kept in the checkpoint beside the network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.errors import Invalid


@dataclass(frozen=True, slots=True)
class SketchConfig:
    """Everything that fixes the sketch's shape.

    Attributes:
        width: values per step of the tower output that it is made from.
        hidden: width of its hidden layer.
        values: values of a sketch.

    Raises:
        Invalid: a size that cannot be built.
    """

    width: int
    hidden: int = 512
    values: int = 64

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and 1 < n <= 65_536 for n in (self.width, self.hidden, self.values)):
            raise Invalid(f"sizes of a sketch must be in [2, 65536]: {self}")


class SketchNetwork(nn.Module):
    """Mean and maximum of the tower output over time, a hidden layer, and a head for either side."""

    def __init__(self, config: SketchConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.BatchNorm1d(2 * config.width, affine=False)
        self.hidden = nn.Linear(2 * config.width, config.hidden)
        self.query_head = nn.Linear(config.hidden, config.values - 1)
        self.event_head = nn.Linear(config.hidden, config.values)

    def seen(self, towers: Tensor) -> Tensor:
        """The hidden layer of clips, float32 [n, steps, width]: float32 [n, hidden]."""
        pooled = torch.cat([towers.mean(dim=1), towers.amax(dim=1)], dim=1)
        return torch.relu(self.hidden(self.norm(pooled)))

    def of_queries(self, towers: Tensor) -> Tensor:
        """Sketches of queries, float32 [n, steps, width]: float32 [n, values], the last of them 1."""
        made = self.query_head(self.seen(towers))
        return torch.cat([made, torch.ones_like(made[:, :1])], dim=1)

    def of_events(self, towers: Tensor) -> Tensor:
        """Sketches of events, float32 [n, steps, width]: float32 [n, values]."""
        made: Tensor = self.event_head(self.seen(towers))
        return made
