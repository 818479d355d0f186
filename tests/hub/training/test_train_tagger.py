import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.benchmark import Benchmark, by_chance, by_cosine, by_network, by_network_and_cosine
from hub.training.calibration import SHIFTS, WEIGHTS
from hub.training.dataset import Dataset
from hub.training.ensemble import fit_members
from hub.training.evaluation import evaluate
from hub.training.mixup import Mixed, MixupBatchSource, tagging_loss
from hub.training.tagger_schedule import Stage, TaggedEpoch, TaggedPlan, learning_rate
from hub.training.train_tagger import train_tagged
from shared.errors import InvalidError
from shared.feature_space import VGGISH

SMALL = TaggedConfig(10, 128, trunk=(32,), fine=16, profile=6, dropout=0.1, members=2)
PLAN = TaggedPlan(seed=1, pretrain=Stage(2, 16, 3e-3), tune=Stage(3, 16, 3e-3))


def easy(count: int, seed: int, *, outside: int = 0) -> Dataset:
    """Clips in which each category lifts eight dimensions in one of two ways, which are the finer labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 8)) < 0.3).astype(np.uint8)
    way = rng.integers(0, 2, (count, 8), dtype=np.uint8)
    fine = np.stack([labels * way, labels * (1 - way)], axis=2).reshape(count, 16)
    raised = np.repeat(fine, 8, axis=1)[:, None, :] * 90
    features = (rng.integers(0, 120, (count, 10, 128)) + raised).astype(np.uint8)
    domain = np.arange(count) >= outside
    return Dataset(VGGISH, features, labels, np.full(count, ""), fine, domain)


def ignore(*_: object) -> None:
    """Progress without a display."""


def equal(a: TaggingEnsemble, b: TaggingEnsemble) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_training_beats_chance_and_measures_shift_weight_and_calibration() -> None:
    epochs: list[TaggedEpoch] = []
    data = easy(400, seed=1, outside=100)
    plan = replace(PLAN, pretrain=Stage(12, 32, 5e-3), tune=Stage(6, 32, 2e-3))
    made = train_tagged(data, SMALL, plan, on_epoch=epochs.append, on_step=ignore)
    assert {(epoch.run, epoch.stage) for epoch in epochs} == {
        (run, stage) for run in ("validate", "final") for stage in ("pretrain", "tune")
    }
    assert all((epoch.map_8 is not None) == (epoch.run == "validate") for epoch in epochs)
    assert made.record["domain"] == 300
    assert made.record["weight"] in WEIGHTS
    assert isinstance(made.network, TaggingEnsemble)
    assert float(made.network.weight) == made.record["weight"]
    assert float(made.network.shift) == made.record["shift"]
    assert len(made.record["tried"]) == len(SHIFTS) * len(WEIGHTS)
    benchmark = Benchmark(easy(60, seed=2), data.take(data.in_domain))
    methods = {"random": by_chance(benchmark), "ours": by_network(benchmark, made)}
    assert made.calibration is not None
    found = evaluate(benchmark, methods, calibrations={"ours": made.calibration})
    figure = {row.method: row for row in found.rows if (row.s, row.K, row.queries) == (7, 10, "all")}
    assert figure["ours"].map > figure["random"].map + 0.1
    assert (figure["ours"].fine or 0) > (figure["random"].fine or 0) + 0.1
    assert found.reliability["ours", 7, "all"].error() < 0.1

    again = train_tagged(data, SMALL, replace(plan, seed=2), like=made, on_epoch=epochs.append, on_step=ignore)
    assert again.calibration == made.calibration
    assert again.record["weight"] == made.record["weight"]


def test_a_tagger_alone_finds_the_weight_of_the_cosine() -> None:
    config = replace(SMALL, fine=0, profile=0, members=1, context=False)
    made = train_tagged(easy(200, seed=1), config, PLAN, on_epoch=ignore, on_step=ignore)
    assert made.record["weight"] in WEIGHTS
    assert isinstance(made.network, TaggingEnsemble)
    assert float(made.network.weight) == 0.0
    benchmark = Benchmark(easy(5, seed=2), easy(40, seed=3))
    both, tags, cosine = (
        rank(0)
        for rank in (by_network_and_cosine(benchmark, made), by_network(benchmark, made), by_cosine(benchmark))
    )
    np.testing.assert_allclose(both, tags + made.record["weight"] * cosine, rtol=1e-5)
    with pytest.raises(InvalidError, match="weight"):
        by_network_and_cosine(benchmark, Checkpoint(made.network, VGGISH, {}))


@pytest.mark.parametrize("last", [1, 2, 4, 5, 7, 9])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path, last: int) -> None:
    data, done = easy(60, seed=3, outside=20), []

    def stop(epoch: TaggedEpoch) -> None:
        done.append(epoch)
        if len(done) == last:
            raise KeyboardInterrupt

    whole, history = fit_members(data, SMALL, PLAN, on_epoch=ignore, on_step=ignore)
    with pytest.raises(KeyboardInterrupt):
        fit_members(data, SMALL, PLAN, on_epoch=stop, on_step=ignore, state=tmp_path / "state")
    resumed, reported = fit_members(data, SMALL, PLAN, on_epoch=done.append, on_step=ignore, state=tmp_path / "state")
    assert equal(whole, resumed)
    assert done == history == reported
    with pytest.raises(InvalidError, match="other data"):
        fit_members(data, SMALL, replace(PLAN, seed=9), on_epoch=ignore, on_step=ignore, state=tmp_path / "state")


def test_the_loss_of_tagging_is_the_naive_cross_entropy() -> None:
    torch.manual_seed(0)
    made = TaggingEnsemble(replace(SMALL, fine=0, profile=0)).eval().requires_grad_(False)
    clips = MixupBatchSource(easy(5, seed=1), fine=0)
    total = 0.0
    for tags, labels in zip(made.tagger(clips.features).tolist(), clips.labels.tolist(), strict=True):
        total -= sum(math.log(p if label else 1 - p) for p, label in zip(tags, labels, strict=True))
    assert float(tagging_loss(made, Mixed(clips.features, clips.labels))) == pytest.approx(total / 40, rel=1e-5)


def test_mixed_clips_have_features_and_labels_in_the_same_shares() -> None:
    data = easy(6, seed=1)
    clips = MixupBatchSource(data, fine=16)
    mixed = clips.mixed(np.arange(6), np.random.default_rng(0))
    for row in range(6):
        found = False
        for other in range(6):
            first, second = clips.labels[row], clips.labels[other]
            differs = first != second
            if not differs.any():
                continue
            share = ((mixed.labels[row] - second) / (first - second))[differs]
            expected = torch.lerp(clips.features[other], clips.features[row], share[0])
            found |= bool(torch.allclose(mixed.features[row], expected, atol=1e-4))
        assert found or torch.equal(mixed.labels[row], clips.labels[row])


def test_finer_labels_add_to_the_loss_only_if_the_network_knows_them() -> None:
    clips = MixupBatchSource(easy(6, seed=1), fine=16)
    coarse = MixupBatchSource(easy(6, seed=1), fine=0)
    assert (clips.labels.shape[1], coarse.labels.shape[1]) == (24, 8)
    torch.manual_seed(0)
    fine = TaggingEnsemble(SMALL).eval().requires_grad_(False)
    known = TaggingEnsemble(replace(SMALL, fine=0, profile=0)).eval().requires_grad_(False)
    plain = float(tagging_loss(known, Mixed(**vars_of(coarse))))
    assert float(tagging_loss(fine, Mixed(**vars_of(clips)))) > plain


def vars_of(clips: MixupBatchSource) -> dict[str, torch.Tensor]:
    return {"features": clips.features, "labels": clips.labels}


def test_the_learning_rate_rises_and_falls() -> None:
    stage = Stage(10, 8, 1e-3)
    rates = [learning_rate(stage, done / 20) for done in range(21)]
    assert max(rates) == rates[2] == 1e-3
    assert rates[0] < 1e-4
    assert rates[20] == pytest.approx(0.0, abs=1e-12)


def test_data_that_does_not_fit_the_network_is_refused() -> None:
    data = easy(20, seed=1)
    for config in (replace(SMALL, fine=15), replace(SMALL, frames=9)):
        with pytest.raises(InvalidError, match="do not fit"):
            fit_members(data, config, PLAN, on_epoch=ignore, on_step=ignore)
    with pytest.raises(InvalidError, match="do not fit"):
        fit_members(replace(data, domain=np.zeros(20, dtype=bool)), SMALL, PLAN, on_epoch=ignore, on_step=ignore)
    with pytest.raises(InvalidError):
        Stage(1, 1, 1e-3)
    with pytest.raises(InvalidError):
        TaggedPlan(others=2.0)
