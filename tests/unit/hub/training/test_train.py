import numpy as np
import pytest
import torch

from hub.model.network import NetworkConfig
from hub.search.scorer import Scorer
from hub.training.dataset import Dataset, joined, split_by_group
from hub.training.evaluate import Benchmark, Row, by_chance, by_cosine, by_network, evaluate
from hub.training.train import Epoch, Plan, train
from shared.errors import Invalid
from shared.space import LOGMEL, VGGISH

SMALL = NetworkConfig(frames=10, dimension=128, tower=(32,), pair=(32, 16), dropout=0.1)


def easy(count: int, seed: int) -> Dataset:
    """Clips in which each category lifts its own sixteen dimensions."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 8)) < 0.3).astype(np.uint8)
    raised = np.repeat(labels, 16, axis=1)[:, None, :] * 90
    features = (rng.integers(0, 120, (count, 10, 128)) + raised).astype(np.uint8)
    return Dataset(VGGISH, features, labels, np.full(count, ""))


def ignore(_stage: str, _number: int, _share: float) -> None:
    """Progress that nobody watches."""


def test_training_learns_what_pairs_share_and_keeps_its_record() -> None:
    epochs: list[Epoch] = []
    plan = Plan(seed=1, epochs=6, batch_pairs=128, pairs_per_clip=8)
    data = easy(300, seed=1)
    trained = train(data, SMALL, plan, on_epoch=epochs.append, on_step=ignore)
    assert epochs[5].validation_loss is not None
    assert epochs[0].validation_loss is not None
    assert epochs[5].validation_loss < 0.8 * epochs[0].validation_loss
    assert trained.record["epochs_chosen"] == sum(epoch.stage == "final" for epoch in epochs)
    assert trained.record["plan"]["seed"] == 1
    assert not trained.network.training
    benchmark = Benchmark(queries=easy(30, seed=2), database=data)
    rows = evaluate(benchmark, {"random": by_chance(benchmark), "network": by_network(benchmark, Scorer(trained))})
    figure = {(row.method, row.s, row.K, row.queries): row.map for row in rows}
    assert figure["network", 7, 10, "all"] > figure["random", 7, 10, "all"] + 0.1


def test_the_same_seed_gives_the_same_network() -> None:
    plan, data = Plan(seed=3, epochs=1), easy(80, seed=3)
    torch.set_num_threads(1)  # several threads sum in an order of their own
    first, second = (train(data, SMALL, plan, on_epoch=lambda _: None, on_step=ignore) for _ in range(2))
    for a, b in zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_level_shift_changes_what_is_learnt() -> None:
    data = easy(80, seed=3)
    plain, shifted = (
        train(data, SMALL, Plan(epochs=1, level_shift=n), on_epoch=lambda _: None, on_step=ignore) for n in (0, 20)
    )
    assert not torch.equal(plain.network.situation.weight, shifted.network.situation.weight)


def test_no_group_is_divided_when_a_part_is_set_aside() -> None:
    data = easy(100, seed=0)
    grouped = Dataset(VGGISH, data.features, data.labels, np.array([f"sensor-{n // 10}" for n in range(100)]))
    rest, aside = split_by_group(grouped, 0.2, np.random.default_rng(0))
    assert (len(rest), len(aside)) == (80, 20)
    assert not set(rest.groups) & set(aside.groups)


def test_clips_without_a_group_are_set_aside_one_by_one() -> None:
    rest, aside = split_by_group(easy(100, seed=0), 0.1, np.random.default_rng(0))
    assert (len(rest), len(aside)) == (90, 10)


def test_one_group_cannot_be_split() -> None:
    data = easy(10, seed=0)
    with pytest.raises(Invalid):
        split_by_group(
            Dataset(VGGISH, data.features, data.labels, np.full(10, "sensor-1")),
            0.1,
            np.random.default_rng(0),
        )


def test_data_of_different_spaces_is_not_joined() -> None:
    other = Dataset(LOGMEL, np.zeros((1, 108, 128), np.uint8), np.zeros((1, 8), np.uint8), np.full(1, ""))
    with pytest.raises(Invalid):
        joined([easy(2, seed=0), other])
    assert len(joined([easy(2, seed=0), easy(3, seed=1)])) == 5


def test_evaluation_ranks_queries_by_kind_against_a_hand_made_database() -> None:
    labels = np.zeros((3, 8), dtype=np.uint8)
    labels[0, 0] = labels[1, 1] = labels[2, 0] = labels[2, 1] = 1
    features = np.repeat(np.repeat(labels, 16, axis=1)[:, None, :], 10, axis=1) * 255
    data = Dataset(VGGISH, features.astype(np.uint8), labels, np.full(3, ""))
    benchmark = Benchmark(queries=data, database=data)
    rows = evaluate(benchmark, {"cosine": by_cosine(benchmark)})
    assert Row("cosine", 8, 1, "all", 1.0) in rows
    assert {row.queries for row in rows} == {"all", "single", "multi"}
    assert len(rows) == 2 * 6 * 3
    two = np.array([[0.1, 0.9, 0.0]] * 3, dtype=np.float32)
    fixed = evaluate(benchmark, {"fixed": lambda query: two[query]})
    assert Row("fixed", 8, 5, "single", round((1 / 2 + 1 / 1) / 2, 4)) in fixed


def test_a_plan_outside_its_ranges_is_refused() -> None:
    with pytest.raises(Invalid):
        Plan(epochs=0)
    with pytest.raises(Invalid):
        Plan(learning_rate=0.0)
