"""Small data sets and checkpoints with an identity, for tests of what is measured."""

import numpy as np
import torch

from hub.model.calibration import Calibration, Curve
from hub.model.checkpoint import Checkpoint
from hub.model.identity import Identity, IdentityConfig, IdentityNetwork
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.dataset import Dataset
from shared.feature_space import FeatureSpace

TOY = FeatureSpace("toy/1", frames=4, dimension=8, low=-1.0, high=1.0)


def clips(sources: list[str], seed: int = 0, space: FeatureSpace = TOY) -> Dataset:
    """Clips whose features are those of their source, and some noise; of no source, noise alone."""
    rng = np.random.default_rng(seed)
    voices = {name: np.random.default_rng([7, *name.encode()]).integers(0, 200, space.shape) for name in sources}
    noise = rng.integers(0, 40, (len(sources), *space.shape))
    features = np.stack([voices[name] for name in sources]) + noise
    labels = (rng.random((len(sources), 8)) < 0.4).astype(np.uint8)
    groups = np.array([f"sensor-{number % 4}" for number in range(len(sources))])
    return Dataset(space, features.astype(np.uint8), labels, groups, sources=np.array(sources))


def identity(space: FeatureSpace = TOY, *, weight: float = 2.0, seed: int = 0) -> Identity:
    """An identity that distinguishes sources by their features as they are; its probabilities are the cosines."""
    torch.manual_seed(seed)
    network = IdentityNetwork(IdentityConfig(*space.shape, values=16))
    network.weight.fill_(weight)
    with torch.no_grad():
        network.projection.weight.copy_(torch.randn(16, 2 * space.dimension))
    line = Curve((0.0, 1.0), (0.0, 1.0))
    return Identity(network.eval().requires_grad_(False), line, line)


def checkpoint(space: FeatureSpace = TOY, *, known: Identity | None = None, seed: int = 0) -> Checkpoint:
    """An untrained network with a calibration, and an identity if one is given."""
    torch.manual_seed(seed)
    network = TaggingEnsemble(TaggedConfig(*space.shape, trunk=(8,))).eval().requires_grad_(False)
    line = Curve((0.0, 8.0), (0.0, 1.0))
    calibration = Calibration(line, line, line, line, (line,) * 8, (line,) * 8)
    return Checkpoint(network, space, {}, calibration, identity=known)
