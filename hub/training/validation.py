"""Retrieval by a network in training: clips set aside are queries, the others the database."""

from typing import Final

import numpy as np

from hub.model.checkpoint import Checkpoint, Network
from hub.search.scoring.scorer import Scorer
from hub.training.dataset import Dataset
from hub.training.ranking_metrics import agreement, mean_average_precision

QUERIES: Final = 100
CLIPS: Final = 1_000
"""Most queries and database clips that measure retrieval after an epoch: 100,000 pairs, a few seconds."""
DEPTH: Final = 10


class RetrievalValidation:
    """A fixed sample of queries and database; figures are comparable within a training.

    Args:
        database: what to draw the database from.
        queries: what to draw the queries from.
        rng: source of randomness.
    """

    def __init__(self, database: Dataset, queries: Dataset, rng: np.random.Generator) -> None:
        self._queries = queries.take(rng.permutation(len(queries))[:QUERIES])
        self._database = database.take(rng.permutation(len(database))[:CLIPS])
        self._agreed = agreement(self._queries.labels, self._database.labels)

    def quality(self, network: Network) -> tuple[float, float]:
        """mAP_8@10 and mAP_7@10 of a network in eval mode."""
        scorer = Scorer(Checkpoint(network, self._database.space, {}))
        queries, database = scorer.embed(self._queries.features), scorer.embed(self._database.features)
        scores = np.stack([scorer.rank(query, database, scorer.score(query, database)) for query in queries])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
        retrieved = np.take_along_axis(self._agreed, best, axis=1)
        map_8, map_7 = (mean_average_precision(retrieved, s, DEPTH) for s in (8, 7))
        return map_8, map_7
