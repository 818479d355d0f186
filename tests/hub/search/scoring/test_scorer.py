import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hub.domain.presence_matrix import BOTH
from hub.model.checkpoint import Checkpoint
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.search.scoring.scorer import Scorer
from shared.errors import InvalidError
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace

BLOCK = 8


def checkpoint(space: FeatureSpace, **shape: Any) -> Checkpoint:
    """Random weights, with batch normalisation as after training: statistics, scales and shifts."""
    torch.manual_seed(3)
    network = SiameseNetwork(NetworkConfig(frames=space.frames, dimension=space.dimension, **shape))
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name or ".1." in name:
                value.add_(0.3 * torch.randn_like(value))
        for _ in range(20):
            network(*(2 * torch.randn(2, 32, space.frames, space.dimension) + 0.5))
    return Checkpoint(network.eval().requires_grad_(False), space, {})


VGGISH_CHECKPOINT = checkpoint(VGGISH)
VARIANTS = [
    checkpoint(VGGISH, models=models, tower=tower, pair=(16, 8), attention=attention)
    for models, tower, attention in itertools.product((1, 8), ((12, 8), ()), (True, False))
]


def clips(space: FeatureSpace, count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, *space.shape), dtype=np.uint8)


def forward(made: Checkpoint, query: npt.NDArray[np.uint8], events: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The module's own forward, pair by pair."""
    pairs = [
        made.network(*(torch.from_numpy(made.space.dequantise(clip))[None] for clip in (query, event)))
        for event in events
    ]
    return np.concatenate([pair.numpy() for pair in pairs]) if pairs else np.empty((0, 8, 3), np.float32)


@pytest.mark.parametrize("made", [VGGISH_CHECKPOINT, *VARIANTS])
@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_scores_of_every_variant_equal_the_module_at_block_edges(made: Checkpoint, count: int) -> None:
    scorer = Scorer(made, block=BLOCK)
    query, events = clips(VGGISH, count + 1)[-1], clips(VGGISH, count)
    scores = scorer.score(scorer.embed(query[None])[0], scorer.embed(events))
    assert scores.shape == (count, 8, 3)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, forward(made, query, events), atol=1e-4)


def test_scores_of_stacked_log_mel_frames_equal_the_module() -> None:
    made = checkpoint(LOGMEL, frames_per_step=9)
    scorer, events = Scorer(made, block=2), clips(LOGMEL, 3)
    scores = scorer.score(scorer.embed(events)[0], scorer.embed(events))
    assert scorer.tower_shape == (12, 128)
    np.testing.assert_allclose(scores, forward(made, events[0], events), atol=1e-4)


@pytest.mark.parametrize("made", [VGGISH_CHECKPOINT, VARIANTS[-1]], ids=["paper", "multi"])
@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1])
def test_presence_is_what_an_event_shares_with_itself(made: Checkpoint, count: int) -> None:
    scorer = Scorer(made, block=BLOCK)
    towers = scorer.embed(clips(VGGISH, count))
    presence = scorer.presence(towers)
    assert presence.shape == (count, 8)
    for tower, found in zip(towers, presence, strict=True):
        np.testing.assert_allclose(found, scorer.score(tower, tower[None])[0, :, BOTH], atol=1e-5)


@pytest.mark.parametrize("made", [VGGISH_CHECKPOINT, VARIANTS[-1]], ids=["paper", "multi"])
def test_half_precision_towers_score_nearly_the_same(made: Checkpoint) -> None:
    scorer = Scorer(made)
    towers = scorer.embed(clips(VGGISH, 6))
    halved = towers.astype(np.float16)
    np.testing.assert_allclose(scorer.score(halved[0], halved), scorer.score(towers[0], towers), atol=5e-3)


def test_features_and_towers_of_another_form_are_refused() -> None:
    scorer = Scorer(VGGISH_CHECKPOINT)
    towers = scorer.embed(clips(VGGISH, 2))
    with pytest.raises(InvalidError, match="vggish"):
        scorer.embed(clips(LOGMEL, 1))
    with pytest.raises(InvalidError, match="vggish"):
        scorer.embed(clips(VGGISH, 1).astype(np.float32))
    with pytest.raises(InvalidError, match="query"):
        scorer.score(towers, towers)
    with pytest.raises(InvalidError, match="events"):
        scorer.score(towers[0], towers[0])
    with pytest.raises(InvalidError, match="block"):
        Scorer(VGGISH_CHECKPOINT, block=0)


def test_certainty_is_never_more_than_one() -> None:
    made = checkpoint(VGGISH)
    assert isinstance(made.network, SiameseNetwork)
    with torch.no_grad():
        made.network.situation.weight.zero_()
        made.network.situation.bias.copy_(torch.tensor([100.0, 0.0, 0.0]).repeat(8))
        assert made.network.attention is not None
        made.network.attention.weight.mul_(50.0)
    scorer = Scorer(made)
    towers = scorer.embed(clips(VGGISH, 300))
    assert scorer.score(towers[0], towers).max() == 1.0
    assert scorer.presence(towers).max() == 1.0
