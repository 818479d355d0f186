"""The network of `earwitness-small`: dense convolutions from one log-mel patch to 128 values.

Few and dense layers, most of the work on small maps: on a processor they run several times faster, in training too,
than separable convolutions of the same number of multiplications.
"""

from collections.abc import Iterator
from typing import Final, cast

import torch
from torch import Tensor, nn

WIDTH: Final = 128
LAYERS: Final = (
    (24, 5, 2),
    (48, 3, 2),
    (64, 3, 1),
    (96, 3, 2),
    (128, 3, 1),
    (192, 3, 2),
    (256, 3, 1),
    (384, 1, 1),
)
"""Channels, kernel and stride of each convolution; every one is followed by batch normalisation and ReLU."""
CENTRE: Final = -3.0
SPREAD: Final = 2.0
"""Patches are shifted and scaled by these before the first convolution."""


class Student(nn.Module):
    """Network that embeds a patch, and for training predicts the teacher's classes.

    Args:
        classes: how many there are; YAMNet has 521.
    """

    def __init__(self, classes: int = 521) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for out, kernel, stride in LAYERS:
            layers += [
                nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels = out
        self.maps = nn.Sequential(*layers)
        self.embedding = nn.Linear(channels, WIDTH)
        self.classes = nn.Linear(WIDTH, classes)

    def embed(self, patches: Tensor) -> Tensor:
        """Embeddings float [n, 128] of log-mel patches, float32 [n, 96, 64]."""
        maps = self.maps(((patches - CENTRE) / SPREAD).unsqueeze(1))
        return cast("Tensor", self.embedding(maps.mean(dim=(2, 3))))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [n, 128] and log-odds of classes [n, classes] of patches [n, 96, 64]."""
        embedding = self.embed(patches)
        return embedding, self.classes(embedding)

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each convolution with its batch normalisation in it, as in eval mode."""
        found = []
        with torch.no_grad():
            pairs = zip(self.maps[::3], self.maps[1::3], strict=True)
            for conv, norm in cast("Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]", pairs):
                mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
                scale = norm.weight / torch.sqrt(variance + norm.eps)
                found.append((conv.weight * scale[:, None, None, None], norm.bias - mean * scale))
        return found
