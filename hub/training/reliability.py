"""Calibration quality: reliability bins and expected calibration error.

Source: Guo et al. 2017, On calibration of modern neural networks, equation (5).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

BINS: Final = 15


@dataclass(slots=True)
class Reliability:
    """Counts of predictions by predicted probability, in equally wide bins.

    Attributes:
        counts: predictions per bin, float64 [15].
        predicted: sum of their probabilities per bin.
        came: number of them that came true per bin.
    """

    counts: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    predicted: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    came: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))

    def add(self, probabilities: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> None:
        """Count predictions: floating [n] in [0, 1], and bool [n] whether they came true."""
        bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)
        self.predicted += np.bincount(bins, weights=probabilities, minlength=BINS)
        self.came += np.bincount(bins, weights=truth, minlength=BINS)

    def error(self) -> float:
        """Compute the expected calibration error: weighted mean distance of predicted and actual; 0 of none."""
        return float(np.abs(self.predicted - self.came).sum() / max(self.counts.sum(), 1.0))

    def bins(self) -> list[dict[str, float]]:
        """Return per non-empty bin the number of predictions, their mean probability and the share that came true."""
        return [
            {"pairs": int(n), "said": round(float(predicted / n), 4), "came": round(float(came / n), 4)}
            for n, predicted, came in zip(self.counts, self.predicted, self.came, strict=True)
            if n
        ]
