from pathlib import Path

import pytest
import torch

from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.training.paper.variants import NAMES, VARIANTS, Variant, variant
from shared.backbones import register_backbone
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace
from tests.backbone_factory import write_backbone


def test_the_table_has_each_of_eight_variants_on_both_spaces() -> None:
    assert NAMES == (
        "single-siamese-attention",
        "single-siamese",
        "single-attention",
        "single",
        "multi-siamese-attention",
        "multi-siamese",
        "multi-attention",
        "multi",
    )
    assert set(VARIANTS) == {(name, space.id) for name in NAMES for space in (VGGISH, LOGMEL)}
    assert len({row.network for row in VARIANTS.values()}) == 16


def test_the_paper_is_the_network_of_figure_1() -> None:
    assert variant("paper", VGGISH.id).network == NetworkConfig(frames=10, dimension=128)
    assert variant("paper", LOGMEL.id) == VARIANTS["single-siamese-attention", LOGMEL.id]


@pytest.mark.parametrize("row", VARIANTS.values(), ids=lambda row: f"{row.name}-{row.space.frames}")
def test_each_row_has_what_its_name_states_and_can_be_built(row: Variant) -> None:
    parts = set(row.name.split("-"))
    network = SiameseNetwork(row.network)
    assert (row.network.models == 8) == ("multi" in parts)
    assert (row.network.models == 1) == ("single" in parts)
    assert (len(network.towers) == 3) == ("siamese" in parts)
    assert (network.attention is not None) == ("attention" in parts)
    assert (row.network.frames, row.network.dimension) == row.space.shape
    assert row.network.dropout == 0.5


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidError, match="multi-siamese"):
        variant("double", VGGISH.id)
    with pytest.raises(InvalidError, match="logmel"):
        variant("paper", "ears/1")


@pytest.mark.parametrize("name", ["paper", *NAMES])
def test_a_variant_exists_on_every_space_and_takes_its_clips(name: str, tmp_path: Path) -> None:
    brought = register_backbone(write_backbone(tmp_path, "varied")).space
    for space in (EARWITNESS_SMALL, brought):
        row = variant(name, space.id)
        assert row.space == space
        assert row.name == ("single-siamese-attention" if name == "paper" else name)
        assert (row.network.frames, row.network.dimension) == space.shape
        assert row.network.frames_per_step == 1
        found = network_output(row, space)
        assert found.shape == (2, 8, 3)
        torch.testing.assert_close(found.sum(dim=2), torch.ones(2, 8))


def network_output(row: Variant, space: FeatureSpace) -> torch.Tensor:
    """Output of an untrained network for two pairs."""
    network = SiameseNetwork(row.network).eval()
    with torch.inference_mode():
        return network(torch.zeros(2, *space.shape), torch.ones(2, *space.shape))  # type: ignore[no-any-return]


def test_spaces_of_one_shape_have_the_same_networks() -> None:
    assert all(variant(name, EARWITNESS_SMALL.id).network == variant(name, VGGISH.id).network for name in NAMES)
    assert all(variant(name, EARWITNESS_SMALL.id).network != variant(name, LOGMEL.id).network for name in NAMES)
