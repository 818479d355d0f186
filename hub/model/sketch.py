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
        hidden: width of the layer that each step passes; the layer after pooling is twice as wide.
        values: values of a sketch.

    Raises:
        Invalid: a size that cannot be built.
    """

    width: int
    hidden: int = 256
    values: int = 64

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and 1 < n <= 65_536 for n in (self.width, self.hidden, self.values)):
            raise Invalid(f"sizes of a sketch must be in [2, 65536]: {self}")


class SketchNetwork(nn.Module):
    """A layer for each step, mean and maximum over time, another layer, and a head for either side."""

    def __init__(self, config: SketchConfig) -> None:
        super().__init__()
        self.config = config
        wide = 2 * config.hidden
        self.norm = nn.BatchNorm1d(config.width, affine=False)
        self.step = nn.Linear(config.width, config.hidden)
        self.pooled_norm = nn.BatchNorm1d(wide)
        self.hidden = nn.Linear(wide, wide)
        self.query_head = nn.Linear(wide, config.values - 1)
        self.event_head = nn.Linear(wide, config.values)

    def seen(self, towers: Tensor) -> Tensor:
        """The layer after pooling of clips, float32 [n, steps, width]: float32 [n, 2 * hidden]."""
        count, steps, width = towers.shape
        each = torch.relu(self.step(self.norm(towers.reshape(-1, width)))).reshape(count, steps, -1)
        pooled = torch.cat([each.mean(dim=1), each.amax(dim=1)], dim=1)
        return torch.relu(self.hidden(self.pooled_norm(pooled)))

    def of_queries(self, towers: Tensor) -> Tensor:
        """Sketches of queries, float32 [n, steps, width]: float32 [n, values], the last of them 1."""
        made = self.query_head(self.seen(towers))
        return torch.cat([made, torch.ones_like(made[:, :1])], dim=1)

    def of_events(self, towers: Tensor) -> Tensor:
        """Sketches of events, float32 [n, steps, width]: float32 [n, values]."""
        made: Tensor = self.event_head(self.seen(towers))
        return made
