import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from hub.model.siamese import ByteDropout, NetworkConfig, SiameseNetwork
from shared.errors import InvalidError

PAPER = NetworkConfig(frames=10, dimension=128)
TINY = NetworkConfig(frames=6, dimension=3, frames_per_step=2, tower=(4, 3), pair=(5, 2))
VARIANTS = [
    replace(TINY, models=models, tower=tower, attention=attention)
    for models, tower, attention in itertools.product((1, 8), ((4, 3), ()), (True, False))
]
variants = pytest.mark.parametrize(
    "config", VARIANTS, ids=lambda c: f"{c.models}-{'siamese' if c.tower else 'direct'}-{c.attention}"
)
Vector = list[float]


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


class Naive:
    """One sub-model of a network in eval mode, in plain loops over numbers; source: the paper, section 3.1."""

    def __init__(self, net: SiameseNetwork, model: int) -> None:
        self.net, self.model = net, model
        self.values = {name: value.tolist() for name, value in net.state_dict().items()}

    def mine(self, name: str) -> list[Any]:
        """This sub-model's rows of a weight, or values of a bias or statistic."""
        all_rows: list[Any] = self.values[name]
        count = len(all_rows) // self.net.config.models
        return all_rows[self.model * count : (self.model + 1) * count]

    def linear(self, name: str, x: Vector) -> Vector:
        rows = self.mine(f"{name}.weight")
        assert all(len(row) == len(x) for row in rows)
        bias = self.mine(f"{name}.bias") if f"{name}.bias" in self.values else [0.0] * len(rows)
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)]

    def norm_relu(self, name: str, x: Vector) -> Vector:
        parts = (self.mine(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias"))
        return [
            max(0.0, (v - mean) / math.sqrt(variance + 1e-5) * scale + shift)
            for v, mean, variance, scale, shift in zip(x, *parts, strict=True)
        ]

    def steps(self, clip: list[Vector]) -> list[Vector]:
        """What a clip is concatenated as: tower outputs, or standardised features; one vector a step."""
        mean, variance = (self.values[f"standardise.running_{part}"] for part in ("mean", "var"))
        flat = [
            [(v - m) / math.sqrt(s + 1e-5) for v, m, s in zip(frame, mean, variance, strict=True)] for frame in clip
        ]
        size = self.net.config.frames_per_step
        steps = [list(itertools.chain(*flat[t : t + size])) for t in range(0, len(flat), size)]
        for layer in range(len(self.net.config.tower)):
            steps = [self.norm_relu(f"towers.{layer}.1", self.linear(f"towers.{layer}.0", x)) for x in steps]
        return steps

    def matrix(self, query: list[Vector], event: list[Vector]) -> list[Vector]:
        """This sub-model's rows of the presence matrix: equation (1)."""
        f, v = [], []
        for a, b in zip(self.steps(query), self.steps(event), strict=True):
            halves = zip(self.linear("joint.query", a), self.linear("joint.event", b), strict=True)
            h = self.norm_relu("joint.norm", [x + y for x, y in halves])
            for layer in range(len(self.net.config.pair) - 1):
                h = self.norm_relu(f"pairs.{layer}.1", self.linear(f"pairs.{layer}.0", h))
            logits = self.linear("situation", h)
            categories = len(logits) // 3
            powers = [[math.exp(z) for z in logits[3 * c : 3 * c + 3]] for c in range(categories)]
            f.append([[p / sum(three) for p in three] for three in powers])
            attends = self.net.config.attention
            v.append([math.exp(z) for z in self.linear("attention", h)] if attends else [1.0] * categories)
        return [
            [sum(v[t][c] * f[t][c][j] for t in range(len(f))) / sum(w[c] for w in v) for j in range(3)]
            for c in range(len(f[0]))
        ]


@variants
def test_every_variant_is_what_plain_loops_over_its_sub_models_give(config: NetworkConfig) -> None:
    net = network(config)
    query, event = torch.randn(2, 3, 6, 3)
    naive = [
        [row for model in range(config.models) for row in Naive(net, model).matrix(q.tolist(), e.tolist())]
        for q, e in zip(query, event, strict=True)
    ]
    torch.testing.assert_close(net(query, event), torch.tensor(naive), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("attention", "expected"), [(True, [11 / 24, 13 / 48, 13 / 48]), (False, [5 / 12, 7 / 24, 7 / 24])]
)
def test_equation_1_on_paper(attention: bool, expected: list[float]) -> None:
    """Two steps, h = (0, 1): f = (1, 1, 1) / 3 and (2, 1, 1) / 4; v = (1, 3) / 4 with attention, else equal."""
    net = SiameseNetwork(NetworkConfig(frames=2, dimension=1, tower=(), pair=(1,), attention=attention)).eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            value.fill_(1.0 - 1e-5 if name.endswith("running_var") else 0.0)
        for one in (net.joint.query.weight, net.joint.event.weight, net.joint.norm.weight):
            one.fill_(1.0)
        net.situation.weight[0::3] = math.log(2.0)
        if net.attention is not None:
            net.attention.weight.fill_(math.log(3.0))
    matrix = net(torch.tensor([[[0.0], [0.25]]]), torch.tensor([[[0.0], [0.75]]]))
    torch.testing.assert_close(matrix, torch.tensor([expected] * 8)[None], atol=1e-5, rtol=1e-5)


@variants
def test_a_sub_model_touches_its_own_category_only(config: NetworkConfig) -> None:
    net = network(config).train()
    net(*torch.randn(2, 4, 6, 3))[:, 3].square().sum().backward()
    for name, value in net.named_parameters():
        assert value.grad is not None, name
        touched = value.grad.reshape(config.models, -1).any(dim=1).tolist()
        mine = 0 if config.models == 1 else 3
        assert not any(t for m, t in enumerate(touched) if m != mine), name
        assert touched[mine] or not name.startswith("situation"), name


def test_the_variants_have_the_layers_of_sections_3_and_5() -> None:
    def parameters(**changes: Any) -> int:
        return sum(value.numel() for value in SiameseNetwork(replace(PAPER, **changes)).parameters())

    tower = 3 * (128 * 128 + 3 * 128)
    pair = (256 * 256 + 3 * 256) + (256 * 128 + 3 * 128)
    head, attention = 128 * 3 + 3, 128 + 1
    assert parameters() == tower + pair + 8 * (head + attention)
    assert parameters(attention=False) == tower + pair + 8 * head
    assert parameters(tower=()) == pair + 8 * (head + attention)
    assert parameters(models=8) == 8 * (tower + pair + head + attention)
    assert parameters(models=8, tower=(), attention=False) == 8 * (pair + head)


def test_log_probabilities_are_those_of_the_pair() -> None:
    net = network()
    a, b = net.tower(torch.randn(2, 10, 128)), net.tower(torch.randn(2, 10, 128))
    torch.testing.assert_close(net.log_pair(a, b).exp(), net.pair(a, b))


def test_frames_can_enter_several_at_a_time() -> None:
    config = NetworkConfig(frames=108, dimension=16, frames_per_step=9)
    assert network(config).tower(torch.randn(2, 108, 16)).shape == (2, 12, 128)


@pytest.mark.parametrize(
    ("changes", "width"), [({}, 128), ({"tower": ()}, 48), ({"models": 8}, 1024), ({"models": 8, "tower": ()}, 48)]
)
def test_what_is_kept_of_a_clip_has_the_width_it_states(changes: dict[str, Any], width: int) -> None:
    config = replace(NetworkConfig(frames=12, dimension=16, frames_per_step=3), **changes)
    assert config.width == width
    assert network(config).tower(torch.randn(2, 12, 16)).shape == (2, 4, width)


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
        {"frames": 10, "dimension": 128, "pair": ()},
        {"frames": 10, "dimension": 128, "dropout": 1.0},
        {"frames": 10, "dimension": 128, "attention": "yes"},
        {"frames": 10, "dimension": 128, "models": 3},
        {"frames": 10, "dimension": 128, "models": 0},
    ],
)
def test_a_network_that_cannot_be_built_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        NetworkConfig(**wrong)  # type: ignore[arg-type]
