"""How many clips a second VGGish takes in PyTorch: precisions and batches, beside one clip at a time in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hub.bench.timing import median
from hub.features.vggish.extractor import VggishNetwork
from hub.runtime.precision import best_dtype, cpu_capabilities

PATCHES = 10
"""Patches of a clip of 10 s."""


@dataclass(frozen=True, slots=True)
class VggishFigures:
    """One way of running the network.

    Attributes:
        precision: of its products.
        clips: at once.
        clips_per_s: median of repeats.
        times_reference: beside the first batch in float32.
    """

    precision: str
    clips: int
    clips_per_s: float
    times_reference: float


def vggish_figures(batches: Sequence[int], repeats: int) -> list[VggishFigures]:
    """Measure the network, without its front end, on random patches; what it costs does not depend on its weights.

    Args:
        batches: clips at once, each measured in every precision; the first in float32 is the reference.
        repeats: of every measurement.
    """
    best = best_dtype(cpu_capabilities())
    dtypes = [torch.float32, *([best] if best is not torch.float32 else [])]
    found: list[VggishFigures] = []
    for dtype in dtypes:
        network = VggishNetwork().eval().to(dtype)
        for clips in batches:
            patches = torch.randn(clips * PATCHES, 96, 64).to(dtype)
            with torch.inference_mode():
                rate = clips / median(lambda: network(patches), repeats)  # noqa: B023
            reference = found[0].clips_per_s if found else rate
            found.append(VggishFigures(str(dtype).removeprefix("torch."), clips, rate, rate / reference))
    return found
