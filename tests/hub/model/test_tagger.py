from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hub.domain.presence_matrix import level_of_similarity, presence_matrix
from hub.model.calibration import Calibration, Curve
from hub.model.checkpoint import Checkpoint, load, save
from hub.model.tagger import TaggedConfig, TaggingEnsemble, presence_from_tags, stack_members
from hub.search.scoring.fused_taggers import TOLERANCE
from hub.search.scoring.scorer import Scorer
from shared.errors import InvalidError
from shared.feature_space import VGGISH

SMALL = TaggedConfig(10, 128, trunk=(16, 12), fine=9, profile=5)
KINDS = [
    SMALL,
    replace(SMALL, members=3),
    replace(SMALL, context=False),
    replace(SMALL, fine=0, profile=0, members=2),
]


def network(config: TaggedConfig) -> TaggingEnsemble:
    """Random weights everywhere, and statistics as after training."""
    torch.manual_seed(2)
    made = TaggingEnsemble(config)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.2 * torch.randn_like(value))
        made.projection.copy_(torch.randn_like(made.projection))
        made.weight.fill_(1.5)
        made.shift.fill_(0.5)
        for _ in range(10):
            made(*torch.randn(2, 32, 10, 128))
    return made.eval().requires_grad_(False)


def clips(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (count, 10, 128), dtype=np.uint8)


def test_certain_tags_give_the_known_presence_matrix() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (20, 2, 8), dtype=np.uint8)
    a, b = (torch.from_numpy(labels[:, side].astype(np.float64)) for side in (0, 1))
    np.testing.assert_array_equal(presence_from_tags(a, b).numpy(), presence_matrix(labels[:, 0], labels[:, 1]))


@pytest.mark.parametrize("config", KINDS)
@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_scores_are_what_the_module_gives_for_towers(config: TaggedConfig, count: int) -> None:
    made = network(config)
    scorer = Scorer(Checkpoint(made, VGGISH, {}), block=4)
    query, events = clips(count + 1)[-1], clips(count)
    own, towers = scorer.embed(query[None])[0], scorer.embed(events)
    matrices = scorer.score(own, towers)
    assert matrices.shape == (count, 8, 3)
    for tower, matrix, rank in zip(towers, matrices, scorer.rank(own, towers, matrices), strict=True):
        sides = [torch.from_numpy(side)[None] for side in (own, tower)]
        expected = made.pair(*sides).numpy()
        np.testing.assert_allclose(matrix[None], expected, atol=1e-4)
        affinity = float(made.affinity(*sides))
        assert (affinity > 0.0) == (config.profile > 0)
        assert rank == pytest.approx(float(level_of_similarity(expected)[0]) + 1.5 * affinity, abs=1e-3)


def test_tags_are_the_presence_and_a_clip_is_most_affine_to_itself() -> None:
    made = network(SMALL)
    scorer = Scorer(Checkpoint(made, VGGISH, {}))
    towers = scorer.embed(clips(6))
    tags = made.tagger(torch.from_numpy(VGGISH.dequantise(clips(6))))
    np.testing.assert_allclose(scorer.presence(towers), tags[:, :8].numpy(), atol=TOLERANCE)
    assert scorer.tags is not None
    affinities = scorer.tags.affinities(towers, towers)
    np.testing.assert_allclose(np.diag(affinities), 1.0, atol=1e-5)
    assert affinities.argmax(axis=1).tolist() == list(range(6))


def test_several_members_state_the_mean_of_what_each_states_alone() -> None:
    members = [network(replace(SMALL, dropout=share)) for share in (0.0, 0.1, 0.2)]
    for number, member in enumerate(members):
        member.tagger.presence.weight.mul_(number + 1.0)
        member.tagger.standardise.load_state_dict(members[0].tagger.standardise.state_dict())
    features = torch.from_numpy(VGGISH.dequantise(clips(4)))
    together = stack_members(members).eval()
    assert together.config.members == 3
    alone = torch.stack([member.tagger(features) for member in members])
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(together.tagger(features), alone.mean(dim=0))


def test_context_is_the_mean_of_all_steps() -> None:
    made, without = network(SMALL), network(replace(SMALL, context=False))
    rows = torch.from_numpy(VGGISH.dequantise(clips(2)))
    # The order of the steps has no meaning: neither attention nor the mean depends on it.
    torch.testing.assert_close(made.tagger(rows.flip(1)), made.tagger(rows))
    first, last = (torch.cat([rows[:, :5], end], dim=1) for end in (rows[:, 5:], rows[:, :5]))
    hidden: list[torch.Tensor] = []
    for tagger in (made.tagger, without.tagger):
        tagger.presence.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0][:, :5]))
        tagger(first)
        tagger(last)
    assert not torch.allclose(hidden[0], hidden[1])
    torch.testing.assert_close(hidden[2], hidden[3])


def test_a_shift_moves_what_is_compared_and_not_what_is_present() -> None:
    made = network(SMALL)
    before = Scorer(Checkpoint(made, VGGISH, {}))
    towers, presence = before.embed(clips(3)), before.presence(before.embed(clips(3)))
    made.shift.fill_(1.5)
    after = Scorer(Checkpoint(made, VGGISH, {}))
    moved = after.embed(clips(3))
    odds = np.log(moved[:, 0, :8] / (1 - moved[:, 0, :8])) - np.log(towers[:, 0, :8] / (1 - towers[:, 0, :8]))
    np.testing.assert_allclose(odds, 1.0, atol=1e-3)
    np.testing.assert_allclose(after.presence(moved), presence, atol=1e-4)


@pytest.mark.parametrize("config", KINDS)
def test_what_is_saved_is_loaded_with_its_calibration(config: TaggedConfig, tmp_path: Path) -> None:
    curve = Curve((0.0, 8.0), (0.1, 0.9))
    calibration = Calibration(curve, curve, curve, curve, (curve,) * 8, (curve,) * 8)
    made = Checkpoint(network(config), VGGISH, {"weight": 1.5}, calibration)
    save(tmp_path / "a.safetensors", made)
    found = load(tmp_path / "a.safetensors")
    assert found.calibration == calibration
    assert found.network.config == config
    pair = torch.randn(2, 3, 10, 128)
    torch.testing.assert_close(found.network(*pair), made.network(*pair), atol=2e-3, rtol=0.0)
    save(tmp_path / "b.safetensors", found)
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [{"trunk": ()}, {"profile": -1}, {"profile": 0}, {"fine": -1}, {"dropout": 1.0}, {"members": 0}, {"context": 1}],
)
def test_a_shape_that_cannot_be_built_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        replace(SMALL, **changes)
