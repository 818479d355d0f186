"""Checkpoints with an untrained identity, for tests of the use of identities."""

from dataclasses import replace

import torch

from hub.domain.closest_source import Margins
from hub.model.calibration import Curve
from hub.model.checkpoint import Checkpoint
from hub.model.identity import Identity, IdentityConfig, IdentityNetwork

PAIR = Curve((0.0, 0.5, 1.0), (0.0, 0.2, 1.0))
MATCH = Curve((0.0, 0.5, 1.0), (0.0, 0.1, 0.9))


def identified(
    checkpoint: Checkpoint,
    *,
    values: int = 64,
    weight: float = 1.0,
    floor: float = 0.9,
    margins: Margins | None = None,
    seed: int = 0,
) -> Checkpoint:
    """The checkpoint with a random projection of pooled features as its identity."""
    frames, dimension = checkpoint.space.shape
    network = IdentityNetwork(IdentityConfig(frames, dimension, values))
    torch.manual_seed(seed)
    with torch.no_grad():
        network.projection.weight.normal_()
        network.weight.fill_(weight)
        network.floor.fill_(floor)
    return replace(checkpoint, identity=Identity(network.requires_grad_(False).eval(), PAIR, MATCH, margins))
