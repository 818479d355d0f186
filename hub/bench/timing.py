"""Medians of repeated measurements, as a single one is noisy."""

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object], repeats: int, warm: int = 1) -> list[float]:
    """Time a piece of work several times, after a few runs that do not count."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return taken


def median(work: Callable[[], object], repeats: int, warm: int = 1) -> float:
    """Return the median time of a piece of work, s."""
    return statistics.median(seconds(work, repeats, warm))
