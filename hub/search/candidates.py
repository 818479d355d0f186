"""Tune how many candidates a search scores exactly, to reach a recall against an exact scan."""

import threading
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError

DEPTH: Final = 10
TOLERANCE: Final = 0.01
"""An event counts as one of the ten best if its exact rank is at most this far below the tenth's."""
_GROWTH: Final = (1.0, 1.4)
_DOUBLINGS: Final = 11
_MEMORY: Final = 200
_ENOUGH: Final = 16
"""Measurements before the first choice."""


class CandidateTuner:
    """Chooses the number of candidates from measurements; safe to use from several threads.

    Args:
        target: target of recall@10, in (0, 1].
        least: lowest number of candidates, at least 10: few measurements cannot justify fewer.
        start: number of candidates before there are enough measurements, at least 10; by default `least`.

    Raises:
        Invalid: a value outside its range.
    """

    def __init__(self, target: float = 0.99, least: int = 1_000, start: int | None = None) -> None:
        start = least if start is None else start
        if not 0.0 < target <= 1.0 or min(start, least) < DEPTH:
            raise InvalidError(f"recall {target} lies in (0, 1], candidates {start} and {least} start at {DEPTH}")
        self._target = target
        self._sizes = [round(least * 2**n * step) for n in range(_DOUBLINGS) for step in _GROWTH]
        self._lock = threading.Lock()
        self._measured: deque[npt.NDArray[np.int64]] = deque(maxlen=_MEMORY)
        self._candidates = start

    @property
    def candidates(self) -> int:
        """Return the number of events that a search scores exactly."""
        return self._candidates

    def observe(self, positions: npt.NDArray[np.int64]) -> None:
        """Add the measurement of one query that was also scanned exactly.

        Args:
            positions: int64, positions from 0 in the sketch's order of the events among the exact ten best.
        """
        with self._lock:
            self._measured.append(np.sort(positions)[:DEPTH])
            if len(self._measured) >= _ENOUGH:
                self._candidates = next((n for n in self._sizes if self._sure(n) >= self._target), self._sizes[-1])

    def recall(self) -> float | None:
        """Return the mean measured recall@10 at the current candidates; None before the first measurement."""
        with self._lock:
            return self._recall(self._candidates) if self._measured else None

    def _recall(self, candidates: int) -> float:
        return float(self._shares(candidates).mean())

    def _sure(self, candidates: int) -> float:
        """Return the mean recall minus its standard error, so that later queries reach it too."""
        shares = self._shares(candidates)
        return float(shares.mean() - shares.std() / np.sqrt(len(shares)))

    def _shares(self, candidates: int) -> npt.NDArray[np.float64]:
        return np.array([(found < candidates).sum() / max(1, len(found)) for found in self._measured])
