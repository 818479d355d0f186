"""Versions of recordings, soft finer labels and quiet streets: training data beside recordings as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from hub.features.selection import load_extractor
from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.search.scoring.scorer import Scorer
from hub.training import auxiliary_data, recipes
from hub.training.calibration import RankingChoice, choice_of
from hub.training.dataset import Dataset, joined
from hub.training.datasets import DatasetReader
from hub.training.datasets.augmentation import Versions, version
from hub.training.datasets.feature_cache import FeatureCache
from hub.training.datasets.synthetic import quiet_streets
from hub.training.mixup import VERSION_ODDS, MixupBatchSource
from hub.training.soft_labels import with_finer
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH
from shared.synthetic_scene import make_scene
from shared.synthetic_sounds import background
from shared.taxonomy import CATEGORIES

BLOWS = [CATEGORIES.index("machinery-impact"), CATEGORIES.index("non-machinery-impact")]


def dataset(count: int = 4, versions: int = 0, fine: int = 0) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(
        EARWITNESS_SMALL,
        rng.integers(0, 100, (count, *EARWITNESS_SMALL.shape), dtype=np.uint8),
        rng.integers(0, 2, (count, 8), dtype=np.uint8),
        np.full(count, ""),
        rng.random((count, fine)).astype(np.float16) if fine else None,
        versions=rng.integers(150, 256, (count, versions, *EARWITNESS_SMALL.shape), dtype=np.uint8)
        if versions
        else None,
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 5_000), st.sampled_from([8_000, 48_000]))
def test_a_version_is_as_long_within_full_scale_and_the_same_of_the_same_draws(
    seed: int, samples: int, rate_hz: int
) -> None:
    clip = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    made, again = (version(clip, rate_hz, np.random.default_rng(seed)) for _ in range(2))
    assert made.shape == clip.shape
    assert made.dtype == np.float32
    assert float(np.abs(made).max()) <= 1.0
    np.testing.assert_array_equal(made, again)


def test_versions_are_louder_and_quieter_and_hold_what_the_clip_holds() -> None:
    time = np.arange(160_000) / 16_000
    clip = (0.05 * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)
    made = [version(clip, 16_000, np.random.default_rng(seed)) for seed in range(40)]
    levels = [20 * np.log10(np.sqrt(np.square(one).mean())) for one in made]
    assert min(levels) < -45 < -27 < max(levels)
    loudest = [np.abs(np.fft.rfft(one)).argmax() / 10 for one in made]
    assert np.mean(np.abs(np.array(loudest) - 1_000) < 5) > 0.8


def test_versions_of_a_recording_are_read_once_and_are_of_that_recording(tmp_path: Path) -> None:
    for name in "ab":
        scene = make_scene(np.random.default_rng(ord(name)), 16_000, 3.0)
        soundfile.write(tmp_path / f"{name}.wav", scene.waveform, 16_000)
    extractor = load_extractor(EARWITNESS_SMALL.id, Path())
    cache = FeatureCache(extractor, cache=tmp_path / "cache", made=Versions(2))
    first = cache.versions(tmp_path / "a.wav")
    assert first.shape == (2, *EARWITNESS_SMALL.shape)
    assert (first[0] != first[1]).any()
    assert (cache.versions(tmp_path / "b.wav") != first).any()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    np.testing.assert_array_equal(cache.versions(tmp_path / "a.wav"), first)
    np.testing.assert_array_equal(FeatureCache(extractor, made=Versions(2)).versions(tmp_path / "a.wav"), first)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == kept
    assert cache.versions(tmp_path / "a.wav", among=4_096).shape == (1, *EARWITNESS_SMALL.shape)
    assert cache.features(tmp_path / "a.wav").shape == EARWITNESS_SMALL.shape
    assert FeatureCache(extractor).versions(tmp_path / "a.wav").shape == (0, *EARWITNESS_SMALL.shape)
    (tmp_path / "c.wav").write_text("no sound")
    with pytest.raises(InvalidError, match=r"c\.wav"):
        cache.versions(tmp_path / "c.wav")


def test_features_that_were_kept_without_a_number_of_clips_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", make_scene(np.random.default_rng(0), 16_000, 3.0).waveform, 16_000)
    for half in (None, 0):
        cache = FeatureCache(load_extractor(EARWITNESS_SMALL.id, Path()), cache=tmp_path / f"cache-{half}", half=half)
        first = cache.features(tmp_path / "a.wav")
        (kept,) = (tmp_path / f"cache-{half}").rglob("*.npy")
        marked = 255 - first
        for stored in (marked, marked[None]):
            np.save(kept, stored)
            np.testing.assert_array_equal(cache.features(tmp_path / "a.wav"), marked)
        np.save(kept, marked[:3])
        np.testing.assert_array_equal(cache.features(tmp_path / "a.wav"), first)


@pytest.mark.parametrize(("recordings", "each"), [(0, 8), (1, 8), (512, 8), (513, 7), (4_096, 1), (4_097, 0)])
def test_of_many_recordings_fewer_versions_are_made(recordings: int, each: int) -> None:
    assert Versions(8).of(recordings) == each
    assert Versions().of(recordings) == 0


def test_recordings_with_versions_are_trained_on_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, epochs in (("STARTED_PLAN", 1), ("VERSIONS_PLAN", 2)):
        plan = getattr(recipes, name)
        monkeypatch.setattr(recipes, name, replace(plan, tune=replace(plan.tune, epochs=epochs)))
    order = recipes.TrainingSpec(
        recipes.TAGGED, start=recipes.default_initialisation(EARWITNESS_SMALL.id, recipes.TAGGED)
    )
    for versions, epochs in ((0, 1), (2, 2)):
        made = recipes.run_training(dataset(24, versions=versions), dataset(0), order, on_epoch=_, on_step=_)
        assert made.record["plan"]["tune"]["epochs"] == epochs


def test_a_clip_without_versions_stands_for_them_itself() -> None:
    alone, several = dataset(2), dataset(3, versions=2)
    both = joined([alone, several])
    assert both.versions is not None
    np.testing.assert_array_equal(both.versions[0], np.stack([alone.features[0]] * 2))
    assert several.versions is not None
    np.testing.assert_array_equal(both.versions[2:], several.versions)
    np.testing.assert_array_equal(both.take(np.array([3])).versions, several.versions[1:2])
    assert joined([alone, alone]).versions is None


def test_versions_and_soft_labels_that_do_not_fit_are_refused() -> None:
    data = dataset(3, versions=2, fine=4)
    assert data.versions is not None
    assert data.fine is not None
    for changes, reason in (
        ({"versions": data.versions[:2]}, "versions"),
        ({"versions": data.versions.astype(np.float32)}, "versions"),
        ({"versions": data.versions[..., :5]}, "versions"),
        ({"fine": data.fine + np.float16(1.0)}, r"lie in \[0, 1\]"),
        ({"fine": np.full((3, 4), np.nan, np.float16)}, r"lie in \[0, 1\]"),
        ({"fine": data.fine.astype(np.float64)}, "uint8 or float16"),
    ):
        with pytest.raises(InvalidError, match=reason):
            replace(data, **changes)


def test_training_draws_a_version_as_often_as_is_stated_and_measures_the_clip_itself() -> None:
    clips = MixupBatchSource(dataset(8, versions=3), fine=0)
    rng = np.random.default_rng(0)
    drawn = torch.cat([clips.mixed(np.zeros(100, np.int64), rng).features for _ in range(10)])
    # Clips lie below 100 and versions above 150: a mixture of two of either kind shows how many versions are in it.
    low, high = (EARWITNESS_SMALL.dequantise(np.full((1, 1), value, np.uint8)).item() for value in (50, 203))
    share = (drawn.mean() - low) / (high - low)
    assert float(share) == pytest.approx(VERSION_ODDS, abs=0.05)
    assert clips.features.shape == (8, *EARWITNESS_SMALL.shape)


def network(fine: int) -> TaggingEnsemble:
    torch.manual_seed(0)
    config = TaggedConfig(*EARWITNESS_SMALL.shape, trunk=(8,), fine=fine, profile=min(fine, 3))
    return TaggingEnsemble(config).eval().requires_grad_(False)


def test_finer_labels_that_are_not_known_are_what_the_start_states() -> None:
    data, start = dataset(5), network(7)
    found = with_finer(data, start)
    with torch.inference_mode():
        stated = start.tagger(torch.from_numpy(EARWITNESS_SMALL.dequantise(data.features)))[:, 8:].numpy()
    assert found.fine is not None
    np.testing.assert_allclose(found.fine, stated, atol=1e-3)
    known = dataset(5, fine=7)
    assert with_finer(known, start) is known
    others = with_finer(dataset(5, fine=9), start).fine
    assert others is not None
    assert others.shape == (5, 7), "other labels than the start knows give way"
    assert with_finer(known, network(0)).fine is None


def test_with_too_few_clips_to_choose_by_shift_and_weight_are_the_recipes() -> None:
    start = recipes.default_initialisation(EARWITNESS_SMALL.id, recipes.TAGGED)
    assert start is not None
    made = recipes.run_training(
        dataset(24), dataset(0), recipes.TrainingSpec(recipes.TAGGED, epochs=1, start=start), on_epoch=_, on_step=_
    )
    assert choice_of(made) == recipes.STARTED_CHOICE
    assert isinstance(made.network, TaggingEnsemble)
    assert float(made.network.weight) == recipes.STARTED_CHOICE.weight
    assert choice_of(Checkpoint(network(0), EARWITNESS_SMALL, {})) == RankingChoice(0.0, 0.0)


def _(*_: object) -> None:
    """Progress without a display."""


def test_quiet_streets_are_quiet_hold_nothing_and_are_the_same_again() -> None:
    reader = DatasetReader(EARWITNESS_SMALL.id)
    (made,) = auxiliary_data.quiet(reader)
    assert len(made) == auxiliary_data.QUIET[EARWITNESS_SMALL.id]
    assert not made.labels.any()
    again = quiet_streets(3, 0, reader.feature_cache().extractor)
    np.testing.assert_array_equal(again.features, made.features[:3])
    assert auxiliary_data.quiet(DatasetReader(VGGISH.id)) == []
    assert auxiliary_data.versions_of(LOGMEL.id) == Versions()


@pytest.mark.parametrize("level_db", [-50, -55, -60, -65, -70])
def test_the_checkpoint_that_ships_detects_no_blows_in_a_quiet_street(level_db: int) -> None:
    extractor = load_extractor(EARWITNESS_SMALL.id, Path())
    scorer = Scorer(load(default_checkpoint(EARWITNESS_SMALL.id)))
    features = []
    for seed in range(6):
        street = background(np.random.default_rng([seed, 70]), 16_000, 10.0)
        street *= 10.0 ** (level_db / 20.0) / np.sqrt(np.square(street).mean())
        features.append(extractor.extract(street.astype(np.float32), 16_000))
    presence = scorer.presence(scorer.embed(np.stack(features)))
    assert float(presence[:, BLOWS].max()) < 0.3
