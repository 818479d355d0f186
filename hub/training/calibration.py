"""Measuring a calibration, and the weight of what is added to the level in the ranking, on clips set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import BOTH, NEITHER
from hub.model.calibration import Calibration, isotonic
from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggingEnsemble
from hub.search.scoring.scorer import Scorer
from hub.training.cosine_baseline import cosines
from hub.training.dataset import Dataset
from hub.training.ranking_metrics import agreement, fine_agreement, mean_average_precision
from shared.errors import InvalidError

WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Weights that are tried; the unit is levels."""
SHIFTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shifts of the tags' log-odds that are tried."""
MATCHES: Final = 10
"""Best events of each query that people look at, and the curves of matches are measured on."""
MOST_LOST: Final = 0.01
"""About one standard error of the difference of two rankings of a thousand queries."""
NEARLY: Final = 0.001
"""Difference of means within chance for a thousand queries."""
CUTS: Final = (1, 10, 100)
QUERIES: Final = 1_200
"""Most clips set aside that are used as queries."""

FEWEST: Final = 200
"""Fewest queries to choose by; with fewer, the known choice stays."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RankingChoice:
    """The choice made on clips set aside.

    Attributes:
        shift: of a tagged network's tags, in log-odds.
        weight: of what is added to the level, in levels.
    """

    shift: float
    weight: float


def choice_of(checkpoint: Checkpoint) -> RankingChoice:
    """Return the choice in a checkpoint's record; plain tags if there is none."""
    return RankingChoice(*(float(checkpoint.record.get(name, 0.0)) for name in ("shift", "weight")))


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """All pairs of queries and database.

    Attributes:
        levels: level of similarity, float32 [q, n].
        extra: what may be added to it, float32 [q, n] in [-1, 1]: the affinity; of networks without, the cosine.
        agree: P(both) + P(neither), float32 [q, n, 8].
        both: P(both), float32 [q, n, 8].
        queries: the clips asked.
        database: the clips found.
    """

    levels: Floats
    extra: Floats
    agree: Floats
    both: Floats
    queries: Dataset
    database: Dataset


def score_all(checkpoint: Checkpoint, queries: Dataset, database: Dataset) -> ScoredPairs:
    """Score at most `QUERIES` queries against a database.

    Raises:
        InvalidError: no queries or no database.
    """
    if not len(queries) or not len(database):
        raise InvalidError("there are no clips to measure on")
    queries = queries.take(np.arange(len(queries))[:: -(-len(queries) // QUERIES)])
    scorer = Scorer(checkpoint)
    own, theirs = scorer.embed(queries.features), scorer.embed(database.features)
    network = checkpoint.network
    tags = scorer.tags if isinstance(network, TaggingEnsemble) and network.config.profile > 0 else None
    extra = cosines(queries, database) if tags is None else tags.affinities(own, theirs)
    agree, both = (np.empty((len(own), len(theirs), queries.labels.shape[1]), np.float32) for _ in range(2))
    for row, query in enumerate(own):
        matrices = scorer.score(query, theirs)
        agree[row], both[row] = matrices[:, :, BOTH] + matrices[:, :, NEITHER], matrices[:, :, BOTH]
    return ScoredPairs(agree.sum(axis=2), extra, agree, both, queries, database)


PLAIN: Final = RankingChoice(0.0, 0.0)
"""Tags as they are, and nothing added."""


def choose(
    network: TaggingEnsemble, queries: Dataset, database: Dataset, known: RankingChoice = PLAIN
) -> tuple[ScoredPairs, RankingChoice, dict[RankingChoice, list[float]]]:
    """Choose a tagged network's shift, and the weight of what is added to its level.

    `best_of` chooses by the `figures` of each, if there are enough queries.

    Args:
        network: did not learn the queries. Its shift is set.
        queries: clips set aside.
        database: the others.
        known: the choice if there are too few queries.

    Returns:
        All pairs as scored with that choice, the choice, and the figures of each that was tried.

    Raises:
        InvalidError: no queries or no database.
    """
    checkpoint = Checkpoint(network, queries.space, {})
    tried: dict[RankingChoice, list[float]] = {}
    for shift in SHIFTS:
        network.shift.fill_(shift)
        scored = score_all(checkpoint, queries, database)
        tried.update({RankingChoice(shift, weight): figures(scored, weight) for weight in WEIGHTS})
    best = best_of(tried) if len(queries) >= FEWEST else known
    network.shift.fill_(best.shift)
    return score_all(checkpoint, queries, database), best, tried


def best_of(tried: Mapping[RankingChoice, Sequence[float]]) -> RankingChoice:
    """Choose the least weight, then shift, whose figures have nearly the highest mean of those that lose nowhere.

    What helps clips of several categories may cost others: none of a choice's figures may be more than `MOST_LOST`
    below that of plain tags, shift and weight 0, which must be among them. Means within `NEARLY` are the same.
    """
    plain = tried[PLAIN]
    allowed = {choice: mean(found) for choice, found in tried.items() if max(np.subtract(plain, found)) <= MOST_LOST}
    good = [choice for choice, found in allowed.items() if found >= max(allowed.values()) - NEARLY]
    return min(good, key=lambda choice: (choice.weight, choice.shift))


def figures(scored: ScoredPairs, weight: float) -> list[float]:
    """Return the figures that judge a ranking by level plus weight times `extra`; the more, the better.

    mAP_s@K over all queries at s in {8, 7} and K in {1, 10, 100}, over those with several categories at K = 10, and
    the fine agreement of the first ten, if there are finer labels.
    """
    queries, database = scored.queries, scored.database
    best = np.argsort(-_ranks(scored, weight), axis=1, kind="stable")[:, : max(CUTS)]
    retrieved = np.take_along_axis(agreement(queries.labels, database.labels), best, axis=1)
    several = queries.labels.sum(axis=1) >= 2
    found = [mean_average_precision(retrieved, s, k) for s in (8, 7) for k in CUTS]
    if several.any():
        found += [mean_average_precision(retrieved[several], s, MATCHES) for s in (8, 7)]
    if queries.fine is not None and database.fine is not None:
        found.append(float(fine_agreement(queries.fine, database.fine, best[:, :MATCHES]).mean()))
    return [round(figure, 4) for figure in found]


def _ranks(scored: ScoredPairs, weight: float) -> Floats:
    return np.asarray(scored.levels + np.float32(weight) * scored.extra, dtype=np.float32)


def calibrate(scored: ScoredPairs, weight: float) -> Calibration:
    """Curves for a ranking by level plus weight times `extra`.

    Args:
        scored: all pairs of clips set aside and the others.
        weight: in levels, as of `choose`; 0 for a ranking by level alone.
    """
    ranks, agreed = _ranks(scored, weight), agreement(scored.queries.labels, scored.database.labels)
    best = np.argsort(-ranks, axis=1, kind="stable")[:, :MATCHES]
    matched, hit = np.take_along_axis(ranks, best, axis=1).ravel(), np.take_along_axis(agreed, best, axis=1).ravel()
    ours, theirs = scored.queries.labels[:, None], scored.database.labels[None]
    categories = range(ours.shape[2])
    return Calibration(
        isotonic(ranks.ravel(), agreed.ravel() >= 8),
        isotonic(ranks.ravel(), agreed.ravel() >= 7),
        isotonic(matched, hit >= 8),
        isotonic(matched, hit >= 7),
        tuple(isotonic(scored.agree[..., c].ravel(), (ours[..., c] == theirs[..., c]).ravel()) for c in categories),
        tuple(
            isotonic(scored.both[..., c].ravel(), (ours[..., c] & theirs[..., c]).ravel() == 1) for c in categories
        ),
    )
