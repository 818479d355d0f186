"""How likely two events are the same kind of sound, per category: what thresholds, alerts and people go by.

The likeness of a match in a category is P(the two agree on at least seven of the eight categories) times P(both
contain the category), both as measured by the checkpoint's calibration. Levels of similarity are not comparable
between networks and feature spaces; likeness is.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.match import MatchProbabilities
from hub.domain.presence_matrix import BOTH, ONE
from hub.model.calibration import Calibration, Curve

AGREE: Final = 7
"""Categories that must agree."""
MAX_PROBABILITY: Final = 0.99
"""Nothing is surer: a calibration that never failed was measured on some dozens of clips."""


def match_probability(
    calibration: Calibration | None, ranks: npt.NDArray[np.float32], matrices: npt.NDArray[np.float32]
) -> MatchProbabilities:
    """The likeness of matches.

    Args:
        calibration: of the checkpoint that scored them; None takes its figures at their word.
        ranks: float32 [n], as of `Scorer.rank`.
        matrices: float32 [n, 8, 3], their presence matrices.

    Returns:
        float32 [n, 8].
    """
    both = matrices[:, :, BOTH]
    if calibration is None:
        return np.asarray(at_least_seven(matrices)[:, None] * both, dtype=np.float32)
    agree = calibration.at_least(AGREE, match=True)(ranks).clip(max=MAX_PROBABILITY)
    columns = [_extrapolate(curve, both[:, number]) for number, curve in enumerate(calibration.both)]
    return np.asarray(agree[:, None] * np.stack(columns, axis=1), dtype=np.float32)


def _extrapolate(curve: Curve, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A curve's probabilities; beyond the highest score it was measured at, on a line to certainty at 1.

    Of a category that hardly occurred in the clips set aside, nothing is known of high scores: there the network is
    taken at its word, which is more than the last of the low scores would say. Verdicts correct it.
    """
    x, y = curve.x[-1], curve.y[-1]
    line = y + (1.0 - y) * (scores - x) / max(1.0 - x, 1e-6)
    return np.asarray(np.where(scores > x, line, curve(scores)), dtype=np.float32)


def at_least_seven(matrices: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """P(agreement on at least seven categories) if each is right or wrong independently: float32 [n]."""
    agree = np.clip(1.0 - matrices[:, :, ONE], 1e-6, 1.0)
    everything = agree.prod(axis=1)
    but_one = (everything[:, None] * (1.0 - agree) / agree).sum(axis=1)
    return np.asarray(np.clip(everything + but_one, 0.0, 1.0), dtype=np.float32)
