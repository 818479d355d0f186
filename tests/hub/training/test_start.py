"""Training that starts from a network: from one that knows sounds, and partly kept."""

import numpy as np
import pytest
import torch

from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.model.tagger import TaggedConfig, TaggingEnsemble, split_members, stack_members
from hub.search.scoring.scorer import Scorer
from hub.training import ensemble, recipes
from hub.training.dataset import Dataset
from hub.training.ranking_metrics import auc
from hub.training.tagger_schedule import Stage, TaggedPlan
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES

CONFIG = TaggedConfig(*EARWITNESS_SMALL.shape, trunk=(16, 16))


def clips(count: int = 64) -> Dataset:
    rng = np.random.default_rng(0)
    labels = (rng.random((count, 8)) < 0.4).astype(np.uint8)
    features = np.repeat(labels, 16, axis=1)[:, None] * 90 + rng.integers(0, 90, (count, *EARWITNESS_SMALL.shape))
    return Dataset(EARWITNESS_SMALL, features.astype(np.uint8), labels, np.full(count, ""))


def network(seed: int, count: int = 1) -> TaggingEnsemble:
    torch.manual_seed(seed)
    made = [TaggingEnsemble(CONFIG) for _ in range(count)]
    return stack_members(made).eval() if count > 1 else made[0].eval()


def fitted(plan: TaggedPlan, start: TaggingEnsemble | None, config: TaggedConfig = CONFIG) -> TaggingEnsemble:
    def ignore(*_: object) -> None: ...

    return ensemble.fit_members(clips(), config, plan, on_epoch=ignore, on_step=ignore, start=start)[0]


def plan(kept: float, epochs: int = 1) -> TaggedPlan:
    return TaggedPlan(pretrain=Stage(0, 32, 1e-3), tune=Stage(epochs, 32, 1e-3), kept=kept)


def distance(a: TaggingEnsemble, b: TaggingEnsemble) -> float:
    pairs = zip(a.tagger.layers.parameters(), b.tagger.layers.parameters(), strict=True)
    return sum(float((one - other).detach().square().sum()) for one, other in pairs)


def test_members_stand_apart_as_they_stood_before() -> None:
    torch.manual_seed(0)
    alone = [TaggingEnsemble(CONFIG).eval() for _ in range(3)]
    back = split_members(stack_members(alone))
    features = torch.randn(5, *EARWITNESS_SMALL.shape)
    for before, after in zip(alone, back, strict=True):
        torch.testing.assert_close(after.eval().tagger(features), before.tagger(features))


def test_a_share_of_the_start_is_kept() -> None:
    start = network(1)
    free, half = (fitted(plan(kept), start) for kept in (0.0, 0.5))
    assert distance(free, start) > 0
    assert distance(half, start) == pytest.approx(distance(free, start) / 4, rel=1e-3)


def test_without_a_start_the_same_plan_ends_elsewhere() -> None:
    far, near = (distance(fitted(plan(0.0), start), network(1)) for start in (None, network(1)))
    assert far > 10 * near


def test_earwitness_small_starts_from_a_network_that_knows_sounds_and_others_from_nothing() -> None:
    start = recipes.default_initialisation(EARWITNESS_SMALL.id, recipes.TAGGED)
    assert start is not None
    assert start.space == EARWITNESS_SMALL
    assert recipes.default_initialisation(VGGISH.id, recipes.TAGGED) is None
    assert recipes.default_initialisation(EARWITNESS_SMALL.id, "paper") is None


def test_a_start_of_another_feature_space_is_refused() -> None:
    order = recipes.TrainingSpec(recipes.TAGGED, 0, epochs=1, start=load(default_checkpoint(VGGISH.id)))
    with pytest.raises(InvalidError, match=r"cannot start from a checkpoint of vggish"):
        recipes.run_training(clips(), clips(0), order, on_epoch=lambda _: None, on_step=lambda *_: None)


def test_the_checkpoint_that_ships_is_small_calibrated_and_distinguishes_scenes() -> None:
    path = default_checkpoint(EARWITNESS_SMALL.id)
    checkpoint: Checkpoint = load(path)
    assert path.stat().st_size < 3_000_000
    assert checkpoint.calibration is not None
    backbone, rng = Backbone(SMALL_FILE), np.random.default_rng(3)
    scenes = [make_scene(rng, 16_000) for _ in range(60)]
    labels = np.array([[name in scene.labels for name in CATEGORIES] for scene in scenes])
    scorer = Scorer(checkpoint)
    features = backbone.extract_many([(scene.waveform, 16_000) for scene in scenes])
    presence = scorer.presence(scorer.embed(features))
    reported = [auc(presence[:, c], labels[:, c]) for c in range(8) if 0 < labels[:, c].sum() < len(labels)]
    assert len(reported) >= 6
    assert np.mean(reported) > 0.6
