import pytest
import torch
from torch import nn

from hub.model.network import ByteDropout, NetworkConfig, SiameseNetwork
from shared.errors import Invalid

PAPER = NetworkConfig(frames=10, dimension=128)


def network(config: NetworkConfig = PAPER) -> SiameseNetwork:
    """A network in eval mode whose batch normalisation has seen data."""
    torch.manual_seed(0)
    made = SiameseNetwork(config)
    with torch.no_grad():
        for _ in range(3):
            made(*torch.randn(2, 16, config.frames, config.dimension))
    return made.eval()


def widths(layers: nn.Module) -> list[int]:
    return [part.out_features for part in layers.modules() if isinstance(part, nn.Linear)]


def test_rows_of_the_presence_matrix_are_distributions() -> None:
    matrix = network()(*torch.randn(2, 5, 10, 128))
    assert matrix.shape == (5, 8, 3)
    assert bool((matrix >= 0).all())
    torch.testing.assert_close(matrix.sum(-1), torch.ones(5, 8))


def test_the_paper_network_has_the_layers_of_figure_1() -> None:
    net = SiameseNetwork(PAPER)
    assert widths(net.towers) == [128, 128, 128]
    assert net.joint.query.weight.shape == net.joint.event.weight.shape == (256, 128)
    assert widths(net.pairs) == [128]
    assert net.tower(torch.randn(4, 10, 128)).shape == (4, 10, 128)


def test_the_split_layer_equals_one_layer_over_the_concatenation() -> None:
    net = network()
    a, b = torch.randn(2, 3, 10, 128)
    query, event = net.halves(torch.stack([a, b]).flatten(0, 1))
    weight = torch.cat([net.joint.query.weight, net.joint.event.weight], dim=1)
    whole = torch.cat([a, b], dim=-1) @ weight.T + net.joint.query.bias
    torch.testing.assert_close(query[:3] + event[3:], whole, atol=1e-5, rtol=1e-5)


def test_attention_is_equation_1() -> None:
    net = network()
    a, b = net.tower(torch.randn(4, 10, 128)), net.tower(torch.randn(4, 10, 128))
    hidden = net.pairs(net.joint(net.joint.query(a), net.joint.event(b)))
    f = net.situation(hidden).reshape(4, 10, 8, 3).softmax(-1)
    v = net.attention(hidden).exp()
    naive = torch.stack(
        [sum(v[n, t, c] * f[n, t, c] for t in range(10)) / v[n, :, c].sum() for n in range(4) for c in range(8)]
    ).reshape(4, 8, 3)
    torch.testing.assert_close(net.pair(a, b), naive, atol=1e-5, rtol=1e-5)


def test_log_probabilities_are_those_of_the_pair() -> None:
    net = network()
    a, b = net.tower(torch.randn(2, 10, 128)), net.tower(torch.randn(2, 10, 128))
    torch.testing.assert_close(net.log_pair(a, b).exp(), net.pair(a, b))


def test_frames_can_enter_several_at_a_time() -> None:
    config = NetworkConfig(frames=108, dimension=16, frames_per_step=9)
    assert network(config).tower(torch.randn(2, 108, 16)).shape == (2, 12, 128)


def test_in_training_about_half_of_the_units_are_dropped_and_the_mean_is_kept() -> None:
    torch.manual_seed(0)
    dropped = ByteDropout(0.5)(torch.ones(1_001, 101))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    assert bool((ByteDropout(0.5).eval()(torch.ones(7)) == 1).all())


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 10, "dimension": 0},
        {"frames": 10, "dimension": 128, "frames_per_step": 3},
        {"frames": 10, "dimension": 128, "tower": ()},
        {"frames": 10, "dimension": 128, "dropout": 1.0},
    ],
)
def test_a_network_that_cannot_be_built_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        NetworkConfig(**wrong)  # type: ignore[arg-type]
