import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hub.domain.presence_matrix import pair_states
from hub.model.checkpoint import Checkpoint
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.training.benchmark import Benchmark, by_chance, by_network
from hub.training.dataset import Dataset, joined, split_by_group
from hub.training.evaluation import evaluate
from hub.training.losses import pair_loss
from hub.training.pair_sampling import batched, draw_pairs
from hub.training.train_siamese import PAPER_PLAN, Epoch, FreshPairs, TrainingPlan, Validation, train, train_epoch
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL, VGGISH

SMALL = NetworkConfig(frames=10, dimension=128, tower=(32,), pair=(32, 16), dropout=0.1)


def easy(count: int, seed: int) -> Dataset:
    """Clips in which each category lifts its own sixteen dimensions."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 8)) < 0.3).astype(np.uint8)
    raised = np.repeat(labels, 16, axis=1)[:, None, :] * 90
    features = (rng.integers(0, 120, (count, 10, 128)) + raised).astype(np.uint8)
    return Dataset(VGGISH, features, labels, np.full(count, ""))


def equal(a: Checkpoint, b: Checkpoint) -> bool:
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def ignore(_stage: str, _number: int, _share: float) -> None:
    """Progress without a display."""


def test_training_learns_what_pairs_share_and_keeps_its_record() -> None:
    epochs: list[Epoch] = []
    plan = TrainingPlan(seed=1, epochs=6, batch_pairs=128, fresh=FreshPairs(pairs_per_clip=8))
    data = easy(300, seed=1)
    trained = train(data, SMALL, plan, on_epoch=epochs.append, on_step=ignore)
    assert epochs[5].validation_loss is not None
    assert epochs[0].validation_loss is not None
    assert epochs[5].validation_loss < 0.8 * epochs[0].validation_loss
    losses = [epoch.validation_loss for epoch in epochs[:6]]
    assert trained.record["epochs_chosen"] == 1 + losses.index(min(losses, key=lambda loss: loss or 0.0))
    assert trained.record["epochs_chosen"] == sum(epoch.stage == "final" for epoch in epochs)
    assert trained.record["plan"]["seed"] == 1
    assert not trained.network.training
    benchmark = Benchmark(queries=easy(30, seed=2), database=data)
    rows = evaluate(benchmark, {"random": by_chance(benchmark), "network": by_network(benchmark, trained)}).rows
    figure = {(row.method, row.s, row.K, row.queries): row.map for row in rows}
    assert figure["network", 7, 10, "all"] > figure["random", 7, 10, "all"] + 0.1

    assert epochs[-1].validation_loss is epochs[-1].map_8 is epochs[-1].map_7 is None


def test_the_same_seed_gives_the_same_network() -> None:
    plan, data = TrainingPlan(seed=3, epochs=1), easy(80, seed=3)
    first, second = (train(data, SMALL, plan, on_epoch=lambda _: None, on_step=ignore) for _ in range(2))
    assert equal(first, second)


@pytest.mark.parametrize(
    ("config", "fresh"),
    [
        (SMALL, FreshPairs(pool_clips=40)),
        (SMALL, None),
        (replace(SMALL, models=8, tower=(), attention=False), FreshPairs()),
    ],
    ids=["fresh", "fixed", "multi"],
)
@pytest.mark.parametrize("stop", [("validate", 1), ("validate", 3), ("final", 1)])
def test_an_interrupted_training_goes_on_to_the_same_network(
    tmp_path: Path, config: NetworkConfig, fresh: FreshPairs | None, stop: tuple[str, int]
) -> None:
    data, plan, file = (
        easy(60, seed=3),
        TrainingPlan(seed=3, epochs=3, fresh=fresh, level_shift=3),
        tmp_path / "state",
    )
    whole: list[Epoch] = []
    uninterrupted = train(data, config, plan, on_epoch=whole.append, on_step=ignore)

    class PowerCutError(Exception):
        pass

    seen: list[Epoch] = []

    def cut(epoch: Epoch) -> None:
        seen.append(epoch)
        if (epoch.stage, epoch.number) == stop:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        train(data, config, plan, on_epoch=cut, on_step=ignore, state=file)
    torch.rand(7)  # whatever else happened since
    resumed = train(data, config, plan, on_epoch=seen.append, on_step=ignore, state=file)
    assert seen == whole
    assert equal(resumed, uninterrupted)
    assert resumed.record == uninterrupted.record
    again = train(data, config, plan, on_epoch=seen.append, on_step=ignore, state=file)
    assert equal(again, uninterrupted)
    assert seen == whole
    assert not list(tmp_path.glob("*.partial"))


def test_a_state_of_another_training_or_of_nothing_is_refused(tmp_path: Path) -> None:
    data, plan, file = easy(60, seed=3), TrainingPlan(epochs=1), tmp_path / "state"

    def go(data: Dataset = data, config: NetworkConfig = SMALL, plan: TrainingPlan = plan) -> None:
        train(data, config, plan, on_epoch=lambda _: None, on_step=ignore, state=file)

    go()
    other = easy(60, seed=3)
    other.labels[0, 0] ^= 1
    for changed in ({"data": other}, {"config": replace(SMALL, dropout=0.2)}, {"plan": replace(plan, seed=1)}):
        with pytest.raises(InvalidError, match="other data, network or plan"):
            go(**changed)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InvalidError, match="damaged"):
        go()
    file.write_bytes(b"hello")
    with pytest.raises(InvalidError, match="not a training state"):
        go()
    torch.save({"format": "other"}, file)
    with pytest.raises(InvalidError, match="format"):
        go()
    file.unlink()
    file.mkdir()
    with pytest.raises(UnavailableError):
        go()


def test_validation_measures_the_loss_and_retrieval_of_the_clips_set_aside() -> None:
    torch.manual_seed(1)
    rest, aside, network = easy(90, seed=1), easy(20, seed=2), SiameseNetwork(SMALL)
    loss, map_8, map_7 = Validation(rest, aside, replace(PAPER_PLAN, batch_pairs=7)).measure(network)
    benchmark = Benchmark(queries=aside, database=rest)
    rows = evaluate(benchmark, {"": by_network(benchmark, Checkpoint(network, VGGISH, {}))}).rows
    figure = {row.s: row.map for row in rows if row.K == 10 and row.queries == "all"}
    assert [map_8, map_7] == pytest.approx([figure[8], figure[7]], abs=1e-4)
    everyone = np.array([(a, b) for a in range(20) for b in range(a)])
    assert loss == pytest.approx(pair_loss(network, aside, everyone).item(), rel=0.02)


def test_a_validation_part_without_pairs_is_refused() -> None:
    with pytest.raises(InvalidError, match="no pairs"):
        train(easy(12, seed=0), SMALL, TrainingPlan(), on_epoch=lambda _: None, on_step=ignore)


def test_the_papers_plan_learns_the_same_pairs_each_epoch() -> None:
    assert (PAPER_PLAN.partners, PAPER_PLAN.batch_pairs, PAPER_PLAN.learning_rate) == (30, 128, 1e-3)
    counts: list[set[int]] = []
    for fresh in (None, FreshPairs(pool_clips=60, pairs_per_clip=60)):
        epochs: list[Epoch] = []
        plan = TrainingPlan(epochs=4, fresh=fresh)
        train(easy(60, seed=3), SMALL, plan, on_epoch=epochs.append, on_step=ignore)
        counts.append({epoch.pairs for epoch in epochs if epoch.stage == "validate"})
    assert len(counts[0]) == 1
    assert len(counts[1]) > 1  # how many of fresh pairs are duplicates varies


def test_the_loss_is_the_naive_cross_entropy_of_forward() -> None:
    torch.manual_seed(0)
    data, network = easy(9, seed=1), SiameseNetwork(SMALL).eval()
    pairs = np.array([[0, 1], [1, 2], [8, 0], [0, 3]])
    total = 0.0
    for a, b in pairs:
        query, event = (torch.from_numpy(VGGISH.dequantise(data.features[clip]))[None] for clip in (a, b))
        matrix = network(query, event)[0].tolist()
        for category in range(8):
            both, neither = (data.labels[a, category] == data.labels[b, category] == present for present in (1, 0))
            total -= math.log(matrix[category][0 if both else 1 if neither else 2])
    assert pair_loss(network, data, pairs).item() == pytest.approx(total / (4 * 8), rel=1e-5)


def test_sub_models_trained_together_are_those_trained_alone() -> None:
    """Eight sub-models on one batch, and the sub-model of category 5 with a loss of its own."""
    config, data = replace(SMALL, tower=(6, 4), pair=(5, 3), models=8, dropout=0.0), easy(40, seed=1)
    batches = batched(draw_pairs(data.labels, np.random.default_rng(0), 1), 64)
    together, alone = SiameseNetwork(config), SiameseNetwork(config)
    alone.load_state_dict(together.state_dict())
    train_epoch(together, torch.optim.RMSprop(together.parameters(), lr=1e-2), data, batches)
    optimiser = torch.optim.RMSprop(alone.parameters(), lr=1e-2)
    for batch in batches:
        clips, sides = np.unique(batch, return_inverse=True)
        truth = torch.from_numpy(pair_states(data.labels[batch[:, 0]], data.labels[batch[:, 1]]))
        optimiser.zero_grad()
        query, event = alone.halves(alone.tower(torch.from_numpy(VGGISH.dequantise(data.features[clips]))))
        alone_on_5 = alone.pair_log_probs(query[sides.reshape(-1, 2)[:, 0]], event[sides.reshape(-1, 2)[:, 1]])[:, 5]
        torch.nn.functional.nll_loss(alone_on_5, truth[:, 5]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for (name, a), b in zip(together.named_parameters(), alone.parameters(), strict=True):
        mine = slice(5 * len(a) // 8, 6 * len(a) // 8)
        torch.testing.assert_close(a[mine], b[mine], atol=1e-4, rtol=1e-3, msg=name)


def test_a_level_shift_changes_what_is_learned() -> None:
    data = easy(80, seed=3)
    plain, shifted = (
        train(data, SMALL, TrainingPlan(epochs=1, level_shift=n), on_epoch=lambda _: None, on_step=ignore)
        for n in (0, 20)
    )
    weights = [made.network.state_dict()["situation.weight"] for made in (plain, shifted)]
    assert not torch.equal(*weights)


def test_no_group_is_divided_when_a_part_is_set_aside() -> None:
    data = easy(100, seed=0)
    grouped = Dataset(VGGISH, data.features, data.labels, np.array([f"sensor-{n // 10}" for n in range(100)]))
    rest, aside = split_by_group(grouped, 0.2, np.random.default_rng(0))
    assert (len(rest), len(aside)) == (80, 20)
    assert not set(rest.groups) & set(aside.groups)


def test_clips_without_a_group_are_set_aside_one_by_one() -> None:
    rest, aside = split_by_group(easy(100, seed=0), 0.1, np.random.default_rng(0))
    assert (len(rest), len(aside)) == (90, 10)


def test_only_the_domain_is_set_aside_and_all_of_it_never() -> None:
    data = easy(100, seed=0)
    domain = np.arange(100) < 40
    rest, aside = split_by_group(replace(data, domain=domain), 0.1, np.random.default_rng(0))
    assert (len(rest), len(aside)) == (96, 4)
    assert aside.in_domain.all()
    with pytest.raises(InvalidError, match="too few"):
        split_by_group(replace(data, domain=np.arange(100) < 1), 0.5, np.random.default_rng(0))


def test_without_validation_everything_is_learned_for_as_many_epochs_as_asked() -> None:
    epochs: list[Epoch] = []
    trained = train(
        easy(60, seed=3), SMALL, TrainingPlan(epochs=2, validation=0.0), on_epoch=epochs.append, on_step=ignore
    )
    assert [(epoch.stage, epoch.number) for epoch in epochs] == [("final", 1), ("final", 2)]
    assert trained.record["epochs_chosen"] == 2


def test_one_group_cannot_be_split() -> None:
    data = easy(10, seed=0)
    with pytest.raises(InvalidError):
        split_by_group(
            Dataset(VGGISH, data.features, data.labels, np.full(10, "sensor-1")),
            0.1,
            np.random.default_rng(0),
        )


def test_data_of_different_spaces_is_not_joined() -> None:
    other = Dataset(LOGMEL, np.zeros((1, 108, 128), np.uint8), np.zeros((1, 8), np.uint8), np.full(1, ""))
    with pytest.raises(InvalidError):
        joined([easy(2, seed=0), other])
    assert len(joined([easy(2, seed=0), easy(3, seed=1)])) == 5


def test_a_plan_outside_its_ranges_is_refused() -> None:
    with pytest.raises(InvalidError):
        TrainingPlan(epochs=0)
    with pytest.raises(InvalidError):
        TrainingPlan(learning_rate=0.0)
