"""Checkpoints whose identities distinguish test clips, for tests of named sounds."""

import numpy as np
import torch

from hub.model.calibration import Curve
from hub.model.checkpoint import Checkpoint
from hub.model.identity import Identity
from shared.feature_space import Features
from tests.identities import identified

CURVE = Curve((0.0, 0.8, 0.95, 1.0), (0.0, 0.02, 0.9, 1.0))
"""From a cosine to P(same source)."""


def with_identity(checkpoint: Checkpoint, features: Features, seed: int = 0) -> Checkpoint:
    """The checkpoint with a random identity, in which clips like these differ in every direction alike.

    Args:
        checkpoint: of any network.
        features: uint8 [n, frames, dimension] of its feature space, as the clips are.
        seed: of the identity.
    """
    made = identified(checkpoint, seed=seed)
    assert made.identity is not None
    network = made.identity.network
    clips = torch.from_numpy(checkpoint.space.dequantise(features))
    pooled = network.pooled(clips)
    centre = pooled.mean(dim=0)
    _, scales, directions = torch.linalg.svd(pooled - centre, full_matrices=False)
    kept = int((scales > 1e-3 * scales[0]).sum())
    whitening = directions[:kept] / (scales[:kept, None] / np.sqrt(len(features)))
    with torch.no_grad():
        network.centre.copy_(centre)
        network.projection.weight.copy_(network.projection.weight[:, :kept] @ whitening)
    return Checkpoint(
        checkpoint.network,
        checkpoint.space,
        checkpoint.record,
        checkpoint.calibration,
        checkpoint.sketch,
        Identity(network, CURVE, CURVE),
    )
