"""Measuring a calibration, and the weight of what is added to the level in the ranking, on clips set aside."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.model.calibration import Calibration, isotonic
from hub.model.checkpoint import Checkpoint
from hub.model.presence import BOTH, NEITHER, presence_matrix
from hub.model.tagged import TaggedNetwork
from hub.search.scorer import Scorer
from hub.training.dataset import Dataset
from hub.training.metrics import agreement, mean_average_precision
from hub.training.similarity import cosines
from shared.errors import Invalid

WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Weights that are tried; the unit is levels."""
TRUSTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of the Siamese network's matrix that are tried."""
CUTS: Final = (1, 10, 100)
QUERIES: Final = 500
"""Most clips set aside that are used as queries."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """All pairs of queries and database.

    Attributes:
        levels: level of similarity, float32 [q, n].
        extra: what may be added to it, float32 [q, n] in [-1, 1]: the affinity; of networks without, the cosine.
        agree: P(both) + P(neither), float32 [q, n, 8].
        both: P(both), float32 [q, n, 8].
        queries: their labels, uint8 [q, 8].
        database: its labels, uint8 [n, 8].
    """

    levels: Floats
    extra: Floats
    agree: Floats
    both: Floats
    queries: npt.NDArray[np.uint8]
    database: npt.NDArray[np.uint8]


def score_all(checkpoint: Checkpoint, queries: Dataset, database: Dataset) -> Scored:
    """Score at most `QUERIES` queries against a database.

    Raises:
        Invalid: no queries or no database.
    """
    if not len(queries) or not len(database):
        raise Invalid("there are no clips to measure on")
    queries = queries.take(np.arange(len(queries))[:: -(-len(queries) // QUERIES)])
    scorer = Scorer(checkpoint)
    own, theirs = scorer.embed(queries.features), scorer.embed(database.features)
    network = checkpoint.network
    profiled = isinstance(network, TaggedNetwork) and network.config.profile > 0
    extra = scorer.affinities(own, theirs) if profiled else cosines(queries, database)
    agree, both = (np.empty((len(own), len(theirs), queries.labels.shape[1]), np.float32) for _ in range(2))
    for row, query in enumerate(own):
        matrices = scorer.score(query, theirs)
        agree[row], both[row] = matrices[:, :, BOTH] + matrices[:, :, NEITHER], matrices[:, :, BOTH]
    return Scored(agree.sum(axis=2), extra, agree, both, queries.labels, database.labels)


def choose(network: TaggedNetwork, queries: Dataset, database: Dataset) -> tuple[Scored, float, dict[str, float]]:
    """Set a tagged network's trust, and find the weight of what is added to its level.

    Trust and weight are those with the highest mean of mAP_s@K over s in {8, 7} and K in {1, 10, 100}.

    Args:
        network: did not learn the queries. Its trust is set.
        queries: clips set aside.
        database: the others.

    Returns:
        All pairs as scored with that trust, the weight, and the mean for each `trust/weight` that was tried.

    Raises:
        Invalid: no queries or no database.
    """
    checkpoint = Checkpoint(network, queries.space, {})
    tried: dict[tuple[float, float], float] = {}
    scores: dict[float, Scored] = {}
    for trust in TRUSTS if network.siamese is not None else TRUSTS[-1:]:
        network.trust.fill_(trust)
        scored = score_all(checkpoint, queries, database)
        tried |= {(trust, weight): mean for weight, mean in means(scored).items()}
        if max(tried, key=lambda pair: tried[pair])[0] == trust:
            scores = {trust: scored}  # only the best is kept: all pairs take hundreds of MB
    trust, weight = max(tried, key=lambda pair: tried[pair])
    network.trust.fill_(trust)
    return scores[trust], weight, {f"{trust:g}/{weight:g}": mean for (trust, weight), mean in tried.items()}


def means(scored: Scored) -> dict[float, float]:
    """Mean of mAP_s@K over s in {8, 7} and K in {1, 10, 100} for each weight of `WEIGHTS`."""
    agreed = agreement(scored.queries, scored.database)
    found = {}
    for weight in WEIGHTS:
        ranks = scored.levels + np.float32(weight) * scored.extra
        best = np.argsort(-ranks, axis=1, kind="stable")[:, : max(CUTS)]
        retrieved = np.take_along_axis(agreed, best, axis=1)
        figures = [mean_average_precision(retrieved, s, k) for s in (8, 7) for k in CUTS]
        found[weight] = round(float(np.mean(figures)), 4)
    return found


def calibrate(scored: Scored, weight: float) -> Calibration:
    """Curves for a ranking by level plus weight times `extra`.

    Args:
        scored: all pairs of clips set aside and the others.
        weight: in levels, as of `choose`; 0 for a ranking by level alone.
    """
    ranks = (scored.levels + np.float32(weight) * scored.extra).ravel()
    agreed = agreement(scored.queries, scored.database).ravel()
    truth = presence_matrix(scored.queries[:, None], scored.database[None])
    shared, same = truth[..., BOTH] == 1.0, truth[..., BOTH] + truth[..., NEITHER] == 1.0
    categories = range(truth.shape[2])
    return Calibration(
        isotonic(ranks, agreed >= 8),
        isotonic(ranks, agreed >= 7),
        tuple(isotonic(scored.agree[..., c].ravel(), same[..., c].ravel()) for c in categories),
        tuple(isotonic(scored.both[..., c].ravel(), shared[..., c].ravel()) for c in categories),
    )
