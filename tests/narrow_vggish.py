"""VGGish with few channels and random weights, for tests that need its form but not its size of 288 MB."""

import numpy as np
import torch
from torch import nn

from hub.features.vggish.extractor import RATE_HZ, FrontEnd, Pca, Vggish, VggishNetwork
from shared.synthetic_scene import make_scene


def narrow_vggish(seed: int = 0) -> Vggish:
    """Return VGGish with 4 to 8 channels a layer, whose bytes spread over the whole range."""
    torch.manual_seed(seed)
    with torch.device("meta"):
        network = VggishNetwork()
    layers: list[nn.Module] = []
    for inner, outer in ((1, 4), (4, 4), (4, 8), (8, 8)):
        layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]
    network.features = nn.Sequential(*layers)
    network.embeddings = nn.Sequential(nn.Linear(8 * 24, 32), nn.ReLU(), nn.Linear(32, 128))
    network.requires_grad_(requires_grad=False)
    street = FrontEnd().patches(make_scene(np.random.default_rng(7), RATE_HZ).waveform)
    raw = network(street).numpy()
    return Vggish(network, Pca(np.eye(128) / raw.std(), raw.mean(axis=0)))
