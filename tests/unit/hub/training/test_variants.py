import pytest

from hub.model.network import NetworkConfig, SiameseNetwork
from hub.training.variants import NAMES, VARIANTS, Variant, variant
from shared.errors import Invalid
from shared.space import LOGMEL, VGGISH


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
def test_each_row_has_what_its_name_says_and_can_be_built(row: Variant) -> None:
    parts = set(row.name.split("-"))
    network = SiameseNetwork(row.network)
    assert (row.network.models == 8) == ("multi" in parts)
    assert (row.network.models == 1) == ("single" in parts)
    assert (len(network.towers) == 3) == ("siamese" in parts)
    assert (network.attention is not None) == ("attention" in parts)
    assert (row.network.frames, row.network.dimension) == row.space.shape
    assert row.network.dropout == 0.5


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="multi-siamese"):
        variant("double", VGGISH.id)
    with pytest.raises(Invalid, match="logmel"):
        variant("paper", "ears/1")
