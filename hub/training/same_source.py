"""Retrieval of halves of clips by each other, and P(same source) from the cosine of two identities."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.model.calibration import Curve, isotonic
from hub.training.reliability import Reliability

MATCHES: Final = 10
"""Best matches of a query that people look at."""


def measure(cosines: npt.NDArray[np.float32], own: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Measure how well halves find each other, and how well probabilities hold that other queries gave.

    Args:
        cosines: float32 [q, n] of queries and database.
        own: int64 [q], which of the database is of the query's source.

    Returns:
        JSON values.
    """
    truth = np.take_along_axis(cosines, own[:, None], axis=1)
    better = (cosines > truth).sum(axis=1)
    kept = {"pair": Reliability(), "match": Reliability()}
    even = np.arange(len(own)) % 2 == 0
    for given, asked in ((even, ~even), (~even, even)):
        pair, match = curves(cosines[given], own[given])
        for name, curve, rows in (("pair", pair, cosines.shape[1]), ("match", match, MATCHES)):
            scores, same = _best(cosines[asked], own[asked], rows)
            kept[name].add(curve(scores), same)
    return {
        "queries": len(own),
        "database": cosines.shape[1],
        "first": round(float((better == 0).mean()), 4),
        "ten": round(float((better < MATCHES).mean()), 4),
        "ece": {name: round(one.error(), 4) for name, one in kept.items()},
        "reliability": {name: one.bins() for name, one in kept.items()},
    }


def curves(cosines: npt.NDArray[np.float32], own: npt.NDArray[np.int64]) -> tuple[Curve, Curve]:
    """P(same source) of any pair, and of a query and one of its ten best; arguments as of `measure`."""
    return isotonic(*_best(cosines, own, cosines.shape[1])), isotonic(*_best(cosines, own, MATCHES))


def _best(
    cosines: npt.NDArray[np.float32], own: npt.NDArray[np.int64], count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the highest cosines of each query, and whether they are of its source, flat."""
    same = np.zeros(cosines.shape, dtype=np.bool_)
    np.put_along_axis(same, own[:, None], values=True, axis=1)
    if count < cosines.shape[1]:
        best = np.argpartition(-cosines, count, axis=1)[:, :count]
        cosines, same = np.take_along_axis(cosines, best, axis=1), np.take_along_axis(same, best, axis=1)
    return cosines.ravel(), same.ravel()
