"""The parts of a checkpoint's network as a scorer uses them: a tagged network has no pair layers, others have."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggingEnsemble
from hub.search.scoring.embedding_layout import Layout
from hub.search.scoring.fused_taggers import FusedTaggers
from hub.search.scoring.int8 import ExactPairScorer, Int8PairScorer
from hub.search.scoring.rankers import ExactRanker, Ranker, TagRanker
from hub.search.scoring.sketches import LearntSketch, TagSketch
from hub.search.scoring.tags import TagScorer, pairs_of_tags


@dataclass(frozen=True, slots=True, eq=False)
class NetworkParts:
    """The parts of a network, each laid out for speed.

    Attributes:
        tower: computes tower outputs float32 [n, steps, width] of dequantised features.
        pairs: computes presence matrices float32 [n, 8, 3] of a query, or of each event with itself, exactly.
        ranker: ranks one query against many events.
        sketch: imitates the rank by kind; None if the checkpoint has none.
        tags: of a tagged network; None of others.
    """

    tower: Callable[[Tensor], Tensor]
    pairs: Callable[[Tensor | None, Tensor], Tensor]
    ranker: Ranker
    sketch: LearntSketch | TagSketch | None
    tags: TagScorer | None


def network_parts(checkpoint: Checkpoint, layout: Layout, block: int) -> NetworkParts:
    """Return the parts of a checkpoint's network, in eval mode.

    Args:
        checkpoint: its network and sketch.
        layout: of the towers.
        block: most events scored exactly at once.
    """
    network = checkpoint.network
    if isinstance(network, TaggingEnsemble):
        tags, sketch = TagScorer(network, layout), TagSketch(network, layout)
        return NetworkParts(FusedTaggers(network), pairs_of_tags, TagRanker(network), sketch, tags)
    pairs = ExactPairScorer(network)
    ranker = Int8PairScorer(network) if Int8PairScorer.is_supported(network) else ExactRanker(pairs, block)
    trained = None if checkpoint.sketch is None else LearntSketch(checkpoint.sketch, layout)
    return NetworkParts(network.tower, pairs, ranker, trained, None)
