"""The Pairwise Presence Matrix: for each category, do both clips, neither, or one of the two contain it?

Source: the paper, section 3.1 and figure 2.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError
from shared.taxonomy import COUNT

BOTH: Final = 0
"""Column: both clips contain the category."""
NEITHER: Final = 1
"""Column: neither clip contains it."""
ONE: Final = 2
"""Column: exactly one of the clips contains it."""
PAIR_STATES: Final = 3

Labels = npt.NDArray[np.uint8]
"""uint8 [..., 8], 1 where the category is present."""


def pair_states(a: Labels, b: Labels) -> npt.NDArray[np.int64]:
    """Column of each category's situation: the class indices that a cross-entropy loss wants.

    Args:
        a: uint8 [..., 8] of 0 and 1.
        b: the same, broadcast against `a`.

    Returns:
        int64 [..., 8] of `BOTH`, `NEITHER`, `ONE`.

    Raises:
        InvalidError: not eight categories, or values other than 0 and 1.
    """
    for labels in (a, b):
        if labels.ndim < 1 or labels.shape[-1] != COUNT:
            raise InvalidError(f"labels want {COUNT} categories last, got shape {list(labels.shape)}")
        if labels.size and int(labels.max()) > 1:
            raise InvalidError("labels are 0 or 1")
    same = np.where(a == 1, BOTH, NEITHER)
    return np.asarray(np.where(a == b, same, ONE), dtype=np.int64)


def presence_matrix(a: Labels, b: Labels) -> npt.NDArray[np.float32]:
    """One-hot presence matrix of pairs with known labels.

    Args:
        a: uint8 [..., 8] of 0 and 1.
        b: the same, broadcast against `a`.

    Returns:
        float32 [..., 8, 3]; every row sums to 1.

    Raises:
        InvalidError: not eight categories, or values other than 0 and 1.
    """
    return np.eye(PAIR_STATES, dtype=np.float32)[pair_states(a, b)]


def level_of_similarity(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the expected number of categories on which two clips agree: the sum of the first two columns.

    Args:
        matrix: floating [..., 8, 3], a presence matrix, known or predicted.

    Returns:
        float32 [...], in [0, 8].

    Raises:
        InvalidError: not an [..., 8, 3] array.

    Source: the paper, section 3.1 ("By summing the first and the second column of the matrix").
    """
    if matrix.shape[-2:] != (COUNT, PAIR_STATES):
        raise InvalidError(f"a presence matrix is [..., {COUNT}, {PAIR_STATES}], got {list(matrix.shape)}")
    return np.asarray(matrix[..., : NEITHER + 1].sum(axis=(-2, -1)), dtype=np.float32)
