"""Measure the cost of a feature space: time for one clip, and memory of a process that only extracts."""

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
"""Sample rate of the clips, that of most microphones: resampling is part of the cost."""


@dataclass(frozen=True, slots=True)
class EmbeddingCost:
    """The measured cost.

    Attributes:
        space: id of the feature space.
        ms_per_clip: median time for a clip of 10 s at 48 kHz, in milliseconds.
        slowest_ms: longest time for a clip, in milliseconds.
        memory_mb: peak memory of this process, in megabytes.
    """

    space: str
    ms_per_clip: float
    slowest_ms: float
    memory_mb: float


def measure(extractor: FeatureExtractor, repeats: int) -> EmbeddingCost:
    """Time an extractor on noise; the cost does not depend on the audio.

    Args:
        extractor: an extractor that runs on one thread.
        repeats: number of clips, after one that is not counted.
    """
    rng = np.random.default_rng(0)
    clip = (0.1 * rng.standard_normal(int(CLIP_S * RATE_HZ))).astype(np.float32)
    extractor.extract(clip, RATE_HZ)
    times_ms = []
    for _ in range(repeats):
        started = time.perf_counter()
        extractor.extract(clip, RATE_HZ)
        times_ms.append(1e3 * (time.perf_counter() - started))
    median_ms, slowest_ms = round(statistics.median(times_ms), 2), round(max(times_ms), 2)
    return EmbeddingCost(extractor.space.id, median_ms, slowest_ms, peak_mb())


def peak_mb() -> float:
    """Return the peak memory of this process, in megabytes (10^6 bytes).

    On Linux it is read from /proc, because `getrusage` includes the process that started this one.
    Source: getrusage(2), proc(5).
    """
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        return round(int(kilobytes) * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
