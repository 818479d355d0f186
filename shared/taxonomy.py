"""The eight coarse categories of urban noise, in the order of every matrix, model and message.

Source: SONYC-UST taxonomy, coarse level; the paper, section 4.1 and figure 2.
"""

from collections.abc import Iterable
from typing import Final

TAXONOMY_ID: Final = "sonyc-ust-coarse/1"

CATEGORIES: Final[tuple[str, ...]] = (
    "engine",
    "machinery-impact",
    "non-machinery-impact",
    "powered-saw",
    "alert-signal",
    "music",
    "human-voice",
    "dog",
)

COUNT: Final = len(CATEGORIES)


def present(probabilities: Iterable[float], threshold: float = 0.5) -> tuple[str, ...]:
    """Return the names of the categories whose probability reaches the threshold.

    Args:
        probabilities: eight values in [0, 1], in the order of `CATEGORIES`.
        threshold: lowest probability that counts as present, in [0, 1].
    """
    return tuple(name for name, p in zip(CATEGORIES, probabilities, strict=True) if p >= threshold)
