"""Identities: what they are for any features, and that a checkpoint carries them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hub.domain.closest_source import Margins
from hub.model.calibration import Curve
from hub.model.checkpoint import Checkpoint, default_checkpoint, load, save
from hub.model.identity import STEPS, Identity, IdentityConfig, IdentityNetwork
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, VGGISH, FeatureSpace


def identity(frames: int = 10) -> Identity:
    torch.manual_seed(0)
    network = IdentityNetwork(IdentityConfig(frames, 128, 16)).eval().requires_grad_(requires_grad=False)
    return Identity(network, Curve((0.0, 1.0), (0.0, 0.9)), Curve((0.0, 1.0), (0.0, 0.8)))


def checkpoint() -> Checkpoint:
    network = TaggingEnsemble(TaggedConfig(10, 128, trunk=(8,))).eval().requires_grad_(requires_grad=False)
    return Checkpoint(network, EARWITNESS_SMALL, {}, identity=identity())


def test_identities_have_length_one_and_whole_steps() -> None:
    made = identity().network(torch.rand(5, 10, 128))
    assert made.shape == (5, 16)
    assert torch.allclose(made.norm(dim=1), torch.ones(5), atol=0.02)
    assert torch.equal(made, torch.round(made * STEPS) / STEPS)


def test_a_clip_without_variation_has_an_identity_that_is_finite() -> None:
    assert torch.isfinite(identity().network(torch.zeros(1, 10, 128))).all()


def test_a_checkpoint_carries_its_identity(tmp_path: Path) -> None:
    saved = checkpoint()
    save(tmp_path / "one.safetensors", saved)
    found = load(tmp_path / "one.safetensors").identity
    assert found is not None
    assert saved.identity is not None
    assert (found.pair, found.match) == (saved.identity.pair, saved.identity.match)
    clips = torch.rand(4, 10, 128)
    assert torch.allclose(found.network(clips), saved.identity.network(clips), atol=2 / STEPS)


def test_a_checkpoint_carries_hidden_units_and_margins_and_one_without_either_has_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = IdentityNetwork(IdentityConfig(10, 128, 16, hidden=5)).eval().requires_grad_(requires_grad=False)
    clips = torch.rand(4, 10, 128)
    assert network.correction is not None
    straight = nn.functional.normalize(network.projection(network.pooled(clips) - network.centre), dim=1)
    assert torch.equal(network(clips), network.rounded(straight))  # before training
    network.get_parameter("correction.3.weight").normal_()
    made = replace(identity(), network=network, margins=Margins(0.3, 0.2))
    save(tmp_path / "one.safetensors", replace(checkpoint(), identity=made))
    found = load(tmp_path / "one.safetensors").identity
    assert found is not None
    assert found.margins == made.margins
    assert torch.allclose(found.network(clips), network(clips), atol=2 / STEPS)
    assert not torch.allclose(found.network(clips), straight, atol=0.1)
    assert (identity().margins, identity().network.correction) == (None, None)


def test_a_cosine_up_to_the_floor_is_worth_nothing_and_one_the_whole_weight() -> None:
    network = identity().network
    network.weight.fill_(2.0)
    network.floor.fill_(0.6)
    found = network.worth(torch.tensor([-1.0, 0.0, 0.6, 0.8, 1.0]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0]))


def test_an_identity_of_other_features_is_refused() -> None:
    with pytest.raises(InvalidError, match="identity of 12 x 128 features cannot serve"):
        replace(checkpoint(), identity=identity(frames=12))


@pytest.mark.parametrize("space", [VGGISH, EARWITNESS_SMALL])
def test_what_ships_knows_sources(space: FeatureSpace) -> None:
    ships = load(default_checkpoint(space.id))
    assert ships.identity is not None
    assert ships.identity.network.weight > 0.0
    assert ships.identity.network.config.values <= 64
    assert ships.record["identity"]["ece"]["match"] <= 0.03
    clips = torch.from_numpy(space.dequantise(np.random.default_rng(0).integers(0, 256, (3, *space.shape), np.uint8)))
    assert torch.allclose(ships.identity.network(clips).norm(dim=1), torch.ones(3), atol=0.02)


@pytest.mark.parametrize("values", [0, 65, -1])
def test_an_identity_of_more_than_64_bytes_is_refused(values: int) -> None:
    with pytest.raises(InvalidError, match="up to 64 values"):
        IdentityConfig(10, 128, values)
