"""How well probabilities are kept: reliability bins and expected calibration error.

Source: Guo et al. 2017, On calibration of modern neural networks, equation (5).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

BINS: Final = 15


@dataclass(slots=True)
class Reliability:
    """Counts of predictions by how probable they were said to be, in equally wide bins.

    Attributes:
        counts: predictions per bin, float64 [15].
        said: sum of their probabilities.
        came: how many of them came true.
    """

    counts: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    said: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    came: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))

    def add(self, probabilities: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> None:
        """Count predictions: floating [n] in [0, 1], and bool [n] whether they came true."""
        bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)
        self.said += np.bincount(bins, weights=probabilities, minlength=BINS)
        self.came += np.bincount(bins, weights=truth, minlength=BINS)

    def error(self) -> float:
        """Expected calibration error: mean distance of said and came, weighted by predictions; 0 of none."""
        return float(np.abs(self.said - self.came).sum() / max(self.counts.sum(), 1.0))

    def bins(self) -> list[dict[str, float]]:
        """Per bin that has predictions: how many, what was said and how often it came true."""
        return [
            {"pairs": int(n), "said": round(float(said / n), 4), "came": round(float(came / n), 4)}
            for n, said, came in zip(self.counts, self.said, self.came, strict=True)
            if n
        ]
