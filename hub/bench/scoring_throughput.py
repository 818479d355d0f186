"""Scoring throughput of pairs, compared with the paper's literal forward and the processor's multiplication limit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hub.bench.synthetic_archive import real_clips
from hub.bench.timing import median
from hub.model.checkpoint import Checkpoint
from hub.model.siamese import SiameseNetwork
from hub.search.scoring.int8 import byte_product
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import best
from shared.errors import InvalidError
from shared.synthetic_features import splice_clips

RECALL_AT: Final = 10
_CANDIDATES: Final = 2_048
LITERAL_BATCHES: Final = (256, 512, 1_024)
"""Batches tried for the literal forward; the fastest counts."""


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """Figures that `bench score` prints.

    Attributes:
        pairs_per_s: one query against all events, events' halves known, the ten best scored again exactly.
        half_pairs_per_s: the same for 2,048 events, halves computed from the tower embeddings, as a search does.
        literal_pairs_per_s: both towers and all layers for every pair, float32, as the paper's figure 1 reads.
        limit_pairs_per_s: limit set by the fastest matrix product of this processor.
        top10_agreement: share of the exact ten best that the quick scorer finds.
        largest_error: largest difference between quick and exact rank, in categories of 8.
        times_literal: ratio of the first and the third.
        share_of_limit: ratio of the first and the fourth.
        product: what the limit multiplies: `uint8` or `float32`.
        events: of one scan.
        repeats: of every measurement.
    """

    pairs_per_s: float
    half_pairs_per_s: float
    literal_pairs_per_s: float
    limit_pairs_per_s: float
    top10_agreement: float
    largest_error: float
    times_literal: float
    share_of_limit: float
    product: str
    events: int
    repeats: int


def score_figures(checkpoint: Checkpoint, data: Path | None, events: int, queries: int, repeats: int) -> ScoreFigures:
    """Measure the scoring throughput.

    Args:
        checkpoint: checkpoint of a Siamese network, in eval mode.
        data: folder of real embeddings; None: random ones.
        events: events scanned by each query.
        queries: number of queries whose ten best are compared with those of the module's forward.
        repeats: repeats of every measurement.

    Raises:
        InvalidError: the network is a tagger, which has no pair layers.
        UnavailableError: the data cannot be read.
    """
    network = checkpoint.network
    if not isinstance(network, SiameseNetwork):
        raise InvalidError("this checkpoint has no pair layers to time: give one of a Siamese network")
    rng = np.random.default_rng(0)
    clips, others = real_clips(data, checkpoint.space, rng)
    features = splice_clips(clips, events, rng)
    scorer = Scorer(checkpoint)
    towers, asked = scorer.embed(features).astype(np.float16), scorer.embed(others[:queries])
    half = scorer.precompute(towers)
    found, errors = [], []
    for number in range(queries):
        exact = _forward(network, asked[number], towers)
        quick = scorer.ranks(asked[number], half)
        own = best(scorer, asked[number], towers, RECALL_AT)
        found.append(np.isin(np.argsort(-exact, kind="stable")[:RECALL_AT], own.rows).mean())
        errors.append(float(np.abs(quick - exact).max()))
    speed = events / median(lambda: best(scorer, asked[0], towers, RECALL_AT, half=half), repeats)
    some = towers[:_CANDIDATES]
    from_towers = len(some) / median(lambda: best(scorer, asked[0], some, RECALL_AT), repeats)
    literal = max(_literal(checkpoint, features, batch, repeats) for batch in LITERAL_BATCHES)
    limit, product = _limit(network, repeats)
    return ScoreFigures(
        pairs_per_s=speed,
        half_pairs_per_s=from_towers,
        literal_pairs_per_s=literal,
        limit_pairs_per_s=limit,
        top10_agreement=float(np.mean(found)),
        largest_error=max(errors),
        times_literal=speed / literal,
        share_of_limit=speed / limit,
        product=product,
        events=events,
        repeats=repeats,
    )


def _forward(network: SiameseNetwork, query: np.ndarray, towers: np.ndarray) -> np.ndarray:
    """Compute similarity scores, float32 [n], by the module's pair layers."""
    levels = []
    with torch.inference_mode():
        one = torch.from_numpy(query)[None]
        for start in range(0, len(towers), 512):
            part = torch.from_numpy(towers[start : start + 512].astype(np.float32))
            levels.append(network.pair(one.expand(len(part), -1, -1), part)[:, :, :2].sum(dim=(1, 2)).numpy())
    return np.concatenate(levels)


def _literal(checkpoint: Checkpoint, features: np.ndarray, batch: int, repeats: int) -> float:
    """Measure the pairs per second of the module's forward on clips."""
    values = torch.from_numpy(checkpoint.space.dequantise(features[:batch]))
    query = values[:1].expand_as(values).contiguous()
    with torch.inference_mode():
        return len(values) / median(lambda: checkpoint.network(query, values), repeats * 3)


def _limit(network: SiameseNetwork, repeats: int) -> tuple[float, str]:
    """Measure the pairs per second that the products allow which no precomputation avoids.

    These are the second pair layer and the output layers, at the speed of the fastest large product.
    """
    config = network.config
    wide, out = config.pair
    flop = 2.0 * config.steps * (wide * out + out * (network.situation.out_features * 4 // 3))
    rows, inner = 8_192, 1_024
    product = byte_product(inner, inner)
    with torch.inference_mode():
        if product is not None:
            codes = torch.randint(0, 256, (rows, inner), dtype=torch.uint8)
            taken, name = median(lambda: product(codes), repeats, warm=3), "uint8"
        else:
            a, b = torch.rand(rows, inner), torch.rand(inner, inner)
            taken, name = median(lambda: a @ b, repeats, warm=3), "float32"
    return 2.0 * rows * inner * inner / taken / flop, name
