"""Quality of a ranking: mAP_s@K, on agreements between labels.

Source: the paper, section 5.4, equations (2) to (4).
"""

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import Labels
from shared.errors import InvalidError


def agreement(queries: Labels, database: Labels) -> npt.NDArray[np.int64]:
    """Return the number of categories on which a query and a database clip agree: r of equation (2).

    Args:
        queries: uint8 [q, categories] of 0 and 1.
        database: uint8 [n, categories] of 0 and 1.

    Returns:
        int64 [q, n], in [0, categories].

    Raises:
        InvalidError: different numbers of categories.
    """
    if queries.ndim != 2 or database.ndim != 2 or queries.shape[1] != database.shape[1]:
        raise InvalidError(f"cannot compare labels {list(queries.shape)} with {list(database.shape)}")
    a, b = queries.astype(np.float32), database.astype(np.float32)
    agreed = a @ b.T + (1.0 - a) @ (1.0 - b).T
    return np.asarray(np.rint(agreed), dtype=np.int64)


def average_precision(retrieved: npt.NDArray[np.integer], s: int, k: int) -> npt.NDArray[np.float64]:
    """AP_s@K of each query.

    Args:
        retrieved: integers [q, m], m >= 1: agreement of the m best-ranked clips with the query, best first.
        s: agreement from which a retrieved clip is a hit.
        k: how many of the retrieved count, from 1; fewer are used if fewer are given.

    Returns:
        float64 [q], in [0, 1]; 0 for a query without a hit.

    Raises:
        InvalidError: not [q, m], or k below 1.

    Source: the paper, equations (2) and (3): the mean of the precision at each hit, over the hits.
    """
    if retrieved.ndim != 2 or k < 1:
        raise InvalidError(f"want agreements [q, m] and k >= 1, got {list(retrieved.shape)}, k = {k}")
    hits = retrieved[:, :k] >= s
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1), dtype=np.float64)


def mean_average_precision(retrieved: npt.NDArray[np.integer], s: int, k: int) -> float:
    """mAP_s@K over all queries; arguments as `average_precision`, with at least one query.

    Raises:
        InvalidError: no queries, or as `average_precision`.

    Source: the paper, equation (4).
    """
    if len(retrieved) == 0:
        raise InvalidError("mAP needs at least one query")
    return float(average_precision(retrieved, s, k).mean())


def fine_agreement(
    queries: npt.NDArray[np.number], database: npt.NDArray[np.number], best: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Return the mean Jaccard similarity of the finer labels of a query and of its best matches.

    Of soft labels it is the weighted one: the sum of the lesser probabilities over the sum of the greater.

    Args:
        queries: uint8 [q, m] of 0 and 1, or float16 in [0, 1].
        database: the same, [n, m].
        best: integers [q, k], k >= 1: rows of the database, best first.

    Returns:
        float64 [q], in [0, 1]; two clips without labels count 0.

    Raises:
        InvalidError: shapes that do not fit together.
    """
    if best.ndim != 2 or len(best) != len(queries) or queries.shape[1:] != database.shape[1:]:
        raise InvalidError(
            f"cannot compare fine labels {list(queries.shape)}, {list(database.shape)}, {list(best.shape)}"
        )
    ours, theirs = queries[:, None], database[best]
    both = np.minimum(ours, theirs).sum(axis=2, dtype=np.float64)
    either = np.maximum(ours, theirs).sum(axis=2, dtype=np.float64)
    return np.asarray((both / np.where(either > 0.0, either, 1.0)).mean(axis=1), dtype=np.float64)


def auc(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a true item scores above a false one (ties count half).

    Args:
        scores: floating [n].
        truth: bool [n].

    Returns:
        In [0, 1]; NaN if all items are true or all are false.
    """
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))
