"""The best of some events, ranked quickly, and scored exactly where it matters.

The answer is that of scoring everything exactly, at a small part of the cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.search.backend import By, Towers
from hub.search.scoring.rankers import Half
from hub.search.scoring.scorer import Cosines, Probabilities, Ranks, Scorer

Join = Callable[[list[npt.NDArray[Any]]], npt.NDArray[Any]]

_FIRST: Final = 64
"""Events scored exactly to know how good the k-th best is at least."""

_QUICK: Final = 1_024
"""Events whose halves are made at once: what is in between (5 MB) stays in the processor's caches."""


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best m events of a query, the best first; or of q queries, each array with a first axis more.

    Attributes:
        rows: int64 [m], which they are.
        ranks: float32 [m], what they are ordered by.
        matrices: float32 [m, 8, 3], their presence matrices.
        kind: float32 [m], their ranks by kind.
        cosines: float32 [m], of the identities.
    """

    rows: npt.NDArray[np.int64]
    ranks: Ranks
    matrices: Probabilities
    kind: Ranks
    cosines: Cosines

    def take(self, rows: npt.NDArray[np.int64]) -> "Best":
        """Return some of them, in another order."""
        return Best(self.rows[rows], self.ranks[rows], self.matrices[rows], self.kind[rows], self.cosines[rows])

    @classmethod
    def joined(cls, parts: Sequence["Best"], join: Join = np.concatenate) -> "Best":
        """Several, one after the other or as `join` has it."""
        return cls(
            join([part.rows for part in parts]),
            join([part.ranks for part in parts]),
            join([part.matrices for part in parts]),
            join([part.kind for part in parts]),
            join([part.cosines for part in parts]),
        )


def best(
    scorer: Scorer,
    query: Towers,
    events: Towers,
    k: int,
    *,
    by: By = By.KIND,
    half: Half | None = None,
    newest: npt.NDArray[np.int64] | None = None,
) -> Best:
    """Return the k events most similar to a query, exactly.

    Args:
        scorer: scores.
        query: float [steps, width] from `Scorer.embed`.
        events: float [n, steps, width] from `Scorer.embed`; n may be 0.
        k: at least 1.
        by: what events are ranked by.
        half: of the events, from `Scorer.half`, if it is known already.
        newest: of equals the one with the largest number comes first, int64 [n]; by default the first row.

    Returns:
        min(k, n) of them.

    Raises:
        UnsupportedError: by source, and the checkpoint has no identity.
    """
    few = max(_FIRST, 2 * k)
    if len(events) <= few:
        found = exactly(scorer, query, events, np.arange(len(events)), by)
    else:
        quick = scorer.ranks(query, half, by) if half is not None else _quickly(scorer, query, events, by)
        found = exactly(scorer, query, events, np.sort(np.argpartition(-quick, few)[:few]), by)
        quick[found.rows] = -np.inf
        others = np.flatnonzero(quick >= np.partition(found.ranks, -k)[-k] - scorer.tolerance_of(by))
        if len(others):
            found = Best.joined([found, exactly(scorer, query, events, others, by)])
    return found.take(_sort_top_k(found.ranks, -found.rows if newest is None else newest[found.rows], k))


def best_of_each(
    scorer: Scorer, queries: Towers, events: Towers, k: int, newest: npt.NDArray[np.int64], by: By
) -> Best:
    """`best` of many queries, each of n events of its own; of a tagged network all are ranked at once.

    Args:
        scorer: scores.
        queries: float [q, steps, width] from `Scorer.embed`, q at least 1.
        events: float [q, n, steps, width] from `Scorer.embed`; n may be 0.
        k: at least 1.
        newest: int64 [q, n], as of `best`.
        by: what events are ranked by.
    """
    if scorer.tags is None:
        asked = zip(queries, events, newest, strict=True)
        return Best.joined(
            [best(scorer, query, own, k, by=by, newest=times) for query, own, times in asked], np.stack
        )
    kind, cosines = scorer.kind_and_cosines(queries, scorer.precompute(events))
    ranks = scorer.identities.ranks(by, kind, cosines)
    rows = _sort_each(ranks, newest, k)
    return Best(
        rows=rows,
        ranks=np.take_along_axis(ranks, rows, axis=1),
        matrices=scorer.tags.implied(queries, events[np.arange(len(rows))[:, None], rows]),
        kind=np.take_along_axis(kind, rows, axis=1),
        cosines=np.take_along_axis(cosines, rows, axis=1),
    )


def exactly(scorer: Scorer, query: Towers, events: Towers, rows: npt.NDArray[np.int64], by: By) -> Best:
    """Return some rows of events, in their order, scored exactly."""
    own = events[rows]
    matrices, cosines = scorer.score(query, own), scorer.cosines(query, own)
    kind = scorer.rank(query, own, matrices)
    return Best(rows, scorer.identities.ranks(by, kind, cosines), matrices, kind, cosines)


def _quickly(scorer: Scorer, query: Towers, events: Towers, by: By) -> Ranks:
    """Ranks within the tolerance, halves made on the way."""
    parts = (events[start : start + _QUICK] for start in range(0, len(events), _QUICK))
    return np.concatenate([scorer.ranks(query, scorer.precompute(part), by) for part in parts])


def _sort_each(ranks: Ranks, newest: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """Rows [q, k] of the k highest ranks in each row of a matrix; of equals those with the largest number first."""
    rows = np.argsort(-ranks, axis=1)
    best = np.take_along_axis(ranks, rows[:, : k + 1], axis=1)
    if (best[:, 1:] == best[:, :-1]).any():  # rare, and takes ten times as long
        rows = np.lexsort((-newest, -ranks))
    return rows[:, :k]


def _sort_top_k(ranks: Ranks, newest: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """Rows of the k highest ranks; of equals those with the largest number first."""
    rows = np.arange(len(ranks))
    if k < len(ranks):
        rows = np.flatnonzero(ranks >= np.partition(ranks, -k)[-k])
    return rows[np.lexsort((-newest[rows], -ranks[rows]))][:k]
