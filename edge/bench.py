"""Measure what a sensor costs: CPU time and memory of clips, of embeddings and of levels, each in a new process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from shared.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class SensorCost:
    """The measured cost.

    Attributes:
        space: feature space of the embeddings.
        clip_realtime_factor: seconds of sound per second of CPU time, for all levels and an event with FLAC.
        clip_peak_mb: peak memory of that process, in megabytes.
        embedding_realtime_factor: the same for all levels and an event with an embedding.
        embedding_peak_mb: peak memory of that process, in megabytes, with the model.
        levels_realtime_factor: the same for all levels and third-octave bands only.
    """

    space: str
    clip_realtime_factor: float
    clip_peak_mb: float
    embedding_realtime_factor: float
    embedding_peak_mb: float
    levels_realtime_factor: float


def measure_cost(space: str, repeats: int) -> SensorCost:
    """Run the benchmarks one after the other.

    Args:
        space: feature space of the embeddings, or the path of its manifest.
        repeats: clips of 10 s per benchmark, after one that is not counted.

    Raises:
        UnavailableError: a process failed.
    """
    clip, embedding, levels = (run_process(mode, space, repeats) for mode in ("clip", "embedding", "levels"))
    return SensorCost(
        space,
        clip["realtime_factor"],
        clip["peak_mb"],
        embedding["realtime_factor"],
        embedding["peak_mb"],
        levels["realtime_factor"],
    )


def run_process(mode: str, space: str, repeats: int) -> dict[str, Any]:
    """Return the report of one benchmark process; see `edge.bench_process`.

    Raises:
        UnavailableError: the process failed.
    """
    line = [sys.executable, "-m", "edge.bench_process", mode, space, str(repeats)]
    ran = subprocess.run(  # noqa: S603 - this interpreter, this package
        line, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if ran.returncode != 0:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(f"the benchmark process {mode!r} failed: {reason}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
