"""The number of candidates that a search scores exactly, so that it finds what an exact scan would."""

import threading
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError

DEPTH: Final = 10
TOLERANCE: Final = 0.01
"""An event counts as one of the ten best if its exact rank is at most so far below the tenth's."""
_GROWTH: Final = (1.0, 1.4)
_DOUBLINGS: Final = 11
_MEMORY: Final = 200
_ENOUGH: Final = 16
"""Measurements before the first choice."""


class CandidateTuner:
    """The number of candidates, chosen from measurements; safe to use from several threads.

    Args:
        target: recall@10 that is wanted, in (0, 1].
        least: candidates at least, from 10: few measurements cannot vouch for few candidates.
        start: candidates until enough was measured, from 10; by default the least.

    Raises:
        InvalidError: a value outside its range.
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
        """Number of events that are scored exactly per search."""
        return self._candidates

    def observe(self, positions: npt.NDArray[np.int64]) -> None:
        """Learn from one query that was also scanned exactly.

        Args:
            positions: int64, the places in the sketch's order, from 0, of the events among the exact ten best.
        """
        with self._lock:
            self._measured.append(np.sort(positions)[:DEPTH])
            if len(self._measured) >= _ENOUGH:
                self._candidates = next((n for n in self._sizes if self._sure(n) >= self._target), self._sizes[-1])

    def recall(self) -> float | None:
        """Mean recall@10 of what was measured, at the candidates in use; None before the first measurement."""
        with self._lock:
            return self._recall(self._candidates) if self._measured else None

    def _recall(self, candidates: int) -> float:
        return float(self._shares(candidates).mean())

    def _sure(self, candidates: int) -> float:
        """Mean recall less its standard error, so that queries to come find as much."""
        shares = self._shares(candidates)
        return float(shares.mean() - shares.std() / np.sqrt(len(shares)))

    def _shares(self, candidates: int) -> npt.NDArray[np.float64]:
        return np.array([(found < candidates).sum() / max(1, len(found)) for found in self._measured])
