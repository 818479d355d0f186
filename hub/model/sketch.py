"""The sketch of a Siamese network: a few values of each clip whose inner product imitates the pair score.

Scoring a pair takes layers; an inner product takes one pass over memory. A search therefore looks at the sketches of
all events and scores exactly only those whose sketches are closest. Query and event have heads of their own, because
the pair network treats them differently; the event's last value is a bias of its own. The pair network compares two
clips step by step, so a sketch keeps the order of steps: pooled over time, it would miss much of what matters.
`hub.training.sketch_training` trains it; the checkpoint stores it with the network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.errors import InvalidError


@dataclass(frozen=True, slots=True)
class SketchConfig:
    """Everything that fixes the sketch's shape.

    Attributes:
        steps: of a clip.
        width: values per step of the tower output that it is made from.
        each: width of the layer that each step passes.
        hidden: width of the layer that sees all steps.
        values: values of a sketch.

    Raises:
        InvalidError: a size that cannot be built.
    """

    steps: int
    width: int
    each: int = 64
    hidden: int = 512
    values: int = 64

    def __post_init__(self) -> None:
        sizes = (self.width, self.each, self.hidden, self.values)
        if not all(isinstance(n, int) and 1 < n <= 65_536 for n in sizes) or not 1 <= self.steps <= 65_536:
            raise InvalidError(f"sizes of a sketch must be in [2, 65536]: {self}")


class SketchNetwork(nn.Module):
    """A layer that each step passes, one that sees all steps, and a head for either side."""

    def __init__(self, config: SketchConfig) -> None:
        super().__init__()
        self.config = config
        joined = config.steps * config.each
        self.norm = nn.BatchNorm1d(config.width, affine=False)
        self.step = nn.Linear(config.width, config.each)
        self.joined_norm = nn.BatchNorm1d(joined)
        self.hidden = nn.Linear(joined, config.hidden)
        self.query_head = nn.Linear(config.hidden, config.values - 1)
        self.event_head = nn.Linear(config.hidden, config.values)

    def _trunk(self, towers: Tensor) -> Tensor:
        """Return the layer that sees all steps of clips, float32 [n, steps, width]: float32 [n, hidden]."""
        count, _, width = towers.shape
        each = torch.relu(self.step(self.norm(towers.reshape(-1, width)))).reshape(count, -1)
        return torch.relu(self.hidden(self.joined_norm(each)))

    def of_queries(self, towers: Tensor) -> Tensor:
        """Sketches of queries, float32 [n, steps, width]: float32 [n, values], the last of them 1."""
        made = self.query_head(self._trunk(towers))
        return torch.cat([made, torch.ones_like(made[:, :1])], dim=1)

    def of_events(self, towers: Tensor) -> Tensor:
        """Sketches of events, float32 [n, steps, width]: float32 [n, values]."""
        made: Tensor = self.event_head(self._trunk(towers))
        return made
