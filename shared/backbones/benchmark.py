"""What a feature space costs: time for one clip, and the memory of a process that does nothing else."""

import re
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.events import CLIP_S
from shared.extractor import FeatureExtractor

RATE_HZ = 48_000
"""Sample rate of the clips, as of most microphones: resampling is part of the cost."""


@dataclass(frozen=True, slots=True)
class EmbeddingCost:
    """What was measured.

    Attributes:
        space: id of the feature space.
        ms_per_clip: median time for a clip of 10 s at 48 kHz, in milliseconds.
        slowest_ms: of the repeats.
        memory_mb: most memory this process ever had, in megabytes.
    """

    space: str
    ms_per_clip: float
    slowest_ms: float
    memory_mb: float


def measure(extractor: FeatureExtractor, repeats: int) -> EmbeddingCost:
    """Time an extractor on noise; what it costs does not depend on what it hears.

    Args:
        extractor: set to one thread by whoever made it.
        repeats: clips, after one that is not counted.
    """
    rng = np.random.default_rng(0)
    clip = (0.1 * rng.standard_normal(int(CLIP_S * RATE_HZ))).astype(np.float32)
    extractor.extract(clip, RATE_HZ)
    took = []
    for _ in range(repeats):
        started = time.perf_counter()
        extractor.extract(clip, RATE_HZ)
        took.append(1e3 * (time.perf_counter() - started))
    return EmbeddingCost(extractor.space.id, round(statistics.median(took), 2), round(max(took), 2), peak_mb())


def peak_mb() -> float:
    """Most memory this process ever had, in megabytes (10^6 bytes).

    Linux tells it in /proc: what `getrusage` tells there includes the process that started this one.
    Source: getrusage(2), proc(5).
    """
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        return round(int(kilobytes) * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
