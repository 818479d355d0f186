"""Throughput of VGGish in PyTorch by precision and batch size, relative to the first batch size in float32."""

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
    """Throughput of the network with one precision and batch size.

    Attributes:
        precision: dtype of its products.
        clips: clips per batch.
        clips_per_s: clips per second, median of repeats.
        times_reference: ratio to the first batch size in float32.
    """

    precision: str
    clips: int
    clips_per_s: float
    times_reference: float


def vggish_figures(batches: Sequence[int], repeats: int) -> list[VggishFigures]:
    """Measure the network, without its front end, on random patches; its cost does not depend on its weights.

    Args:
        batches: batch sizes in clips, each measured in every precision; the first in float32 is the reference.
        repeats: repeats of every measurement.
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
