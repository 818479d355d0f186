"""Match probability per category: the probability that two events are the same kind of sound.

The match probability in a category is P(both agree on at least seven of the eight categories) times P(both contain
the category), as measured by the checkpoint's calibration. Unlike similarity scores, match probabilities are
comparable between networks and feature spaces. Thresholds and alerts use them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.match import MatchProbabilities
from hub.domain.presence_matrix import BOTH, ONE
from hub.model.calibration import Calibration, Curve
from shared.taxonomy import COUNT

AGREE: Final = COUNT - 1
"""Categories that must agree."""
MAX_PROBABILITY: Final = 0.99
"""Upper limit: a calibration without failures was measured on a few dozen clips only."""


def match_probability(
    calibration: Calibration | None, ranks: npt.NDArray[np.float32], matrices: npt.NDArray[np.float32]
) -> MatchProbabilities:
    """Compute the match probabilities of matches.

    Args:
        calibration: calibration of the checkpoint that scored them; None uses its scores as probabilities.
        ranks: float32 [n], as returned by `Scorer.ranks`.
        matrices: float32 [n, 8, 3], their presence matrices.

    Returns:
        float32 [n, 8], in [0, 1].
    """
    both = matrices[:, :, BOTH]
    if calibration is None:
        return np.asarray(at_least_seven(matrices)[:, None] * both, dtype=np.float32)
    agree = calibration.at_least(AGREE, match=True)(ranks).clip(max=MAX_PROBABILITY)
    columns = [_extrapolate(curve, both[:, number]) for number, curve in enumerate(calibration.both)]
    return np.asarray(agree[:, None] * np.stack(columns, axis=1), dtype=np.float32)


def _extrapolate(curve: Curve, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Evaluate a curve; beyond its highest measured score, follow a line to probability 1 at score 1.

    The curve has no high scores for a category that is rare in the held-out clips. The line gives more than the last
    measured probability there. Verdicts correct it.
    """
    x, y = curve.x[-1], curve.y[-1]
    line = y + (1.0 - y) * (scores - x) / max(1.0 - x, 1e-6)
    return np.asarray(np.where(scores > x, line, curve(scores)), dtype=np.float32)


def at_least_seven(matrices: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compute P(agreement on at least seven categories), float32 [n], if categories are independent."""
    agree = np.clip(1.0 - matrices[:, :, ONE], 1e-6, 1.0)
    everything = agree.prod(axis=1)
    but_one = (everything[:, None] * (1.0 - agree) / agree).sum(axis=1)
    return np.asarray(np.clip(everything + but_one, 0.0, 1.0), dtype=np.float32)
