"""Medians of repeats: the machine is noisy, one run says nothing."""

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
    """Median time in seconds of a piece of work."""
    return statistics.median(seconds(work, repeats, warm))
