"""The best of some events, ranked quickly, and scored exactly where it matters.

The answer is that of scoring everything exactly, at a small part of the cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.domain.closest_source import NEAREST
from hub.search.backend import By, Towers
from hub.search.scoring.rankers import Half
from hub.search.scoring.scorer import Cosines, Probabilities, Ranks, Scorer

Join = Callable[[list[npt.NDArray[Any]]], npt.NDArray[Any]]

_FIRST: Final = 64
"""Events scored exactly to know how good the k-th best is at least."""

_LOWEST: Final = np.float32(-np.inf)

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
        outstanding: bool [m], which keeps its place because it stands out by source; at most one of a query.
    """

    rows: npt.NDArray[np.int64]
    ranks: Ranks
    matrices: Probabilities
    kind: Ranks
    cosines: Cosines
    outstanding: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[np.int64]) -> "Best":
        """Return some of them, in another order."""
        return Best(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Best"], join: Join = np.concatenate) -> "Best":
        """Several, one after the other or as `join` has it."""
        return cls(*(join([getattr(part, column.name) for part in parts]) for column in fields(cls)))


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
        events: float [n, steps, width] from `Scorer.embed`, those closest by source among them; n may be 0.
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
    newest = -np.arange(len(events)) if newest is None else newest
    if len(events) <= few:
        found = exactly(scorer, query, events, np.arange(len(events)), by)
    else:
        quick = scorer.ranks(query, half, by) if half is not None else _quickly(scorer, query, events, by)
        found = exactly(scorer, query, events, np.sort(np.argpartition(-quick, few)[:few]), by)
        quick[found.rows] = -np.inf
        others = np.flatnonzero(quick >= np.partition(found.ranks, -k)[-k] - scorer.tolerance_of(by))
        if by is By.BOTH and scorer.identities.keep_places:
            closest = np.argsort(-scorer.cosines(query, events), kind="stable")[:NEAREST]
            others = np.union1d(others, closest[quick[closest] > -np.inf])
        if len(others):
            found = Best.joined([found, exactly(scorer, query, events, others, by)])
    own = newest[found.rows]
    closest_event = scorer.identities.closest(by, found.cosines[None], own[None])
    found = replace(
        found,
        ranks=closest_event.raised(found.ranks[None])[0],
        outstanding=closest_event.marks(len(found.rows))[0],
    )
    return found.take(_sort_top_k(found.ranks, own, k))


def best_of_each(
    scorer: Scorer,
    queries: Towers,
    events: Towers,
    k: int,
    newest: npt.NDArray[np.int64],
    by: By,
    again: npt.NDArray[np.bool_] | None = None,
) -> Best:
    """`best` of many queries, each of n events of its own; of a tagged network all are ranked at once.

    Args:
        scorer: scores.
        queries: float [q, steps, width] from `Scorer.embed`, q at least 1.
        events: float [q, n, steps, width] from `Scorer.embed`; n may be 0.
        k: at least 1.
        newest: int64 [q, n], as of `best`.
        by: what events are ranked by.
        again: bool [q, n], events that are among a query's own twice, and here not ranked; None: there are none.
    """
    if scorer.tags is None:
        again = np.zeros(newest.shape, dtype=np.bool_) if again is None else again
        asked = zip(queries, events, newest, again, strict=True)
        return Best.joined(
            [_of_one(scorer, query, own, k, times, by, ~out) for query, own, times, out in asked], np.stack
        )
    kind, cosines = scorer.kind_and_cosines(queries, scorer.precompute(events))
    ranks = scorer.identities.ranks(by, kind, cosines)
    if again is not None:
        ranks, cosines = np.where(again, _LOWEST, ranks), np.where(again, _LOWEST, cosines)
    closest = scorer.identities.closest(by, cosines, newest)
    ranks = closest.raised(ranks)
    rows = _sort_each(ranks, newest, k)
    return Best(
        rows=rows,
        ranks=np.take_along_axis(ranks, rows, axis=1),
        matrices=scorer.tags.implied(queries, events[np.arange(len(rows))[:, None], rows]),
        kind=np.take_along_axis(kind, rows, axis=1),
        cosines=np.take_along_axis(cosines, rows, axis=1),
        outstanding=np.take_along_axis(closest.marks(ranks.shape[1]), rows, axis=1),
    )


def _of_one(
    scorer: Scorer,
    query: Towers,
    events: Towers,
    k: int,
    newest: npt.NDArray[np.int64],
    by: By,
    ranked: npt.NDArray[np.bool_],
) -> Best:
    """`best` of the events that are ranked; rows are those of all events."""
    rows = np.flatnonzero(ranked)
    found = best(scorer, query, events[rows], k, by=by, newest=newest[rows])
    return replace(found, rows=rows[found.rows])


def exactly(scorer: Scorer, query: Towers, events: Towers, rows: npt.NDArray[np.int64], by: By) -> Best:
    """Return some rows of events, in their order, scored exactly; without kept places."""
    own = events[rows]
    matrices, cosines = scorer.score(query, own), scorer.cosines(query, own)
    kind = scorer.rank(query, own, matrices)
    ranks = scorer.identities.ranks(by, kind, cosines)
    return Best(rows, ranks, matrices, kind, cosines, np.zeros(len(rows), dtype=np.bool_))


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
