"""Members of a tagged network that start from another network, and how much of it they keep."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hub.model.tagger import TaggedConfig, TaggingEnsemble, split_members, stack_members
from hub.training import ensemble
from hub.training.dataset import Dataset
from hub.training.tagger_schedule import Stage, TaggedEpoch, TaggedPlan
from shared.errors import InvalidError
from shared.feature_space import FeatureSpace

TOY = FeatureSpace("toy/1", frames=3, dimension=8, low=-1.0, high=1.0)
CONFIG = TaggedConfig(*TOY.shape, trunk=(6, 5), dropout=0.1, members=2)
PLAN = TaggedPlan(seed=1, pretrain=Stage(1, 8, 1e-2), tune=Stage(2, 8, 1e-2), kept=0.25)


def ignore(*_: object) -> None:
    """Progress without a display."""


def clips(count: int = 24) -> Dataset:
    rng = np.random.default_rng(0)
    labels = (rng.random((count, 8)) < 0.4).astype(np.uint8)
    features = labels[:, None] * 90 + rng.integers(0, 90, (count, *TOY.shape))
    return Dataset(TOY, features.astype(np.uint8), labels, np.full(count, ""))


def network(seed: int, config: TaggedConfig = CONFIG) -> TaggingEnsemble:
    """Weights, means and counters that are all drawn by chance, another for each member."""
    torch.manual_seed(seed)
    made = []
    for _ in range(config.members):
        alone = TaggingEnsemble(replace(config, members=1))
        drawn = {
            name: torch.rand_like(tensor) if tensor.is_floating_point() else torch.full_like(tensor, seed)
            for name, tensor in alone.tagger.state_dict().items()
        }
        alone.tagger.load_state_dict(drawn)
        made.append(alone)
    return stack_members(made).eval() if config.members > 1 else made[0].eval()


def fitted(plan: TaggedPlan, start: TaggingEnsemble | None, state: Path | None = None) -> TaggingEnsemble:
    return ensemble.fit_members(clips(), CONFIG, plan, on_epoch=ignore, on_step=ignore, start=start, state=state)[0]


def tensors(made: TaggingEnsemble) -> dict[str, Tensor]:
    return made.tagger.state_dict()


def equal(one: TaggingEnsemble, other: TaggingEnsemble) -> bool:
    return all(torch.equal(tensor, tensors(other)[name]) for name, tensor in tensors(one).items())


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 99))
def test_each_weight_is_drawn_back_by_the_share_that_is_kept(share: float, seed: int) -> None:
    start, learned = (network(number, replace(CONFIG, members=1)) for number in (seed, seed + 1))
    before = {name: tensor.clone() for name, tensor in learned.state_dict().items()}
    first = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    ensemble._draw_back(learned, start, share)
    for name, after in learned.state_dict().items():
        if after.is_floating_point():
            torch.testing.assert_close(after, (1 - share) * before[name] + share * first[name])
        else:
            assert int(after) == int(first[name]), "what has no mean is of the start"
    assert all(torch.equal(tensor, first[name]) for name, tensor in start.state_dict().items())


def test_each_member_is_drawn_back_to_its_own_start_and_not_to_anothers() -> None:
    start = network(3)
    free, kept = split_members(fitted(replace(PLAN, kept=0.0), start)), split_members(fitted(PLAN, start))
    own = split_members(start)
    assert not equal(own[0], own[1])
    for learned, drawn, first in zip(free, kept, own, strict=True):
        for name, tensor in tensors(drawn).items():
            if tensor.is_floating_point():
                expected = torch.lerp(tensors(learned)[name], tensors(first)[name], PLAN.kept)
                torch.testing.assert_close(tensor, expected)


def test_who_has_no_epochs_stays_where_it_started() -> None:
    start = network(4)
    still = TaggedPlan(pretrain=Stage(0, 8, 1e-2), tune=Stage(0, 8, 1e-2), kept=0.5)
    assert equal(fitted(still, start), start)


def test_what_is_kept_is_no_evidence_without_a_start() -> None:
    assert equal(fitted(PLAN, None), fitted(replace(PLAN, kept=0.9), None))


def test_a_start_is_left_as_it_is_and_gives_the_same_network_each_time() -> None:
    start = network(5)
    before = {name: tensor.clone() for name, tensor in tensors(start).items()}
    first, second = fitted(PLAN, start), fitted(PLAN, start)
    assert equal(first, second)
    assert not equal(first, fitted(PLAN, network(6)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(start).items())


@pytest.mark.parametrize("kept", [-0.1, 1.0, 1.5, float("nan")])
def test_all_of_a_start_or_less_than_nothing_cannot_be_kept(kept: float) -> None:
    with pytest.raises(InvalidError, match=r"lies in \[0, 1\)"):
        TaggedPlan(kept=kept)


def test_a_start_of_another_shape_is_refused_but_its_dropout_is_its_own_affair() -> None:
    for other in (replace(CONFIG, members=1), replace(CONFIG, trunk=(6, 6)), replace(CONFIG, context=False)):
        with pytest.raises(InvalidError, match="is no start for one of"):
            fitted(PLAN, network(1, other))
    assert not fitted(PLAN, network(1, replace(CONFIG, dropout=0.5))).training


@pytest.mark.parametrize("last", [1, 3, 4])
def test_an_interrupted_training_from_a_start_goes_on_as_if_it_had_not_been(tmp_path: Path, last: int) -> None:
    start, seen = network(7), list[TaggedEpoch]()

    def stop(epoch: TaggedEpoch) -> None:
        seen.append(epoch)
        if len(seen) == last:
            raise KeyboardInterrupt

    whole = fitted(PLAN, start)
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit_members(
            clips(), CONFIG, PLAN, on_epoch=stop, on_step=ignore, start=start, state=tmp_path / "state"
        )
    assert equal(fitted(PLAN, start, tmp_path / "state"), whole)


def test_a_state_of_a_training_from_another_start_is_refused(tmp_path: Path) -> None:
    fitted(PLAN, network(8), tmp_path / "state")
    for other in (network(9), None):
        with pytest.raises(InvalidError, match="other data, network or plan"):
            fitted(PLAN, other, tmp_path / "state")


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.booleans(), st.integers(0, 3), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_members_that_were_distinguished_give_the_same_network_side_by_side(
    count: int, context: bool, fine: int, trunk: list[int]
) -> None:
    config = replace(CONFIG, members=count, context=context, fine=fine, profile=fine, trunk=tuple(trunk))
    whole = network(2, config)
    found = split_members(whole)
    assert [one.config for one in found] == [replace(config, members=1)] * count
    again = stack_members(found)
    for name, tensor in tensors(again).items():
        torch.testing.assert_close(tensor, tensors(whole)[name])


def test_members_distinguished_share_no_memory_with_the_network_or_each_other() -> None:
    whole = network(2)
    before = {name: tensor.clone() for name, tensor in tensors(whole).items()}
    first, second = split_members(whole)
    untouched = {name: tensor.clone() for name, tensor in tensors(second).items()}
    for tensor in tensors(first).values():
        tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(whole).items())
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in tensors(second).items())
