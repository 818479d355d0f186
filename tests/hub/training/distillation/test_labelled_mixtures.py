"""Labelled mixtures."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.training.datasets.audioset_mapping import AUDIOSET_CATEGORIES
from hub.training.distillation import labelled_mixtures
from hub.training.distillation.labelled_mixtures import PRESENT, Labeller, _chances, empty, label_mixtures, scenes
from hub.training.distillation.mixer import Mixer
from hub.training.distillation.teacher import Teacher, probabilities
from hub.training.distillation.yamnet import CLASSES, class_names
from shared.feature_space import EARWITNESS_SMALL, Features
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES, COUNT

Odds = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def odds(mixer: Mixer, teacher: Teacher) -> Odds:
    return teacher.predict(mixer.moments(np.arange(len(mixer.bank.starts))))[1]


def embed(patches: npt.NDArray[np.float32]) -> Features:
    """A stand-in for a student: its lowest bands, twice."""
    low = patches.mean(axis=1)
    return EARWITNESS_SMALL.quantise(np.concatenate([low, low], axis=1))


def even(mixer: Mixer) -> npt.NDArray[np.float64]:
    return np.full(len(mixer.bank.starts), 1 / len(mixer.bank.starts))


def test_clips_are_of_our_feature_space_and_labelled_with_what_the_teacher_detects(
    mixer: Mixer, odds: Odds, teacher: Teacher
) -> None:
    seen: list[npt.NDArray[np.float32]] = []

    def remembered(patches: npt.NDArray[np.float32]) -> Features:
        seen.append(patches)
        return embed(patches)

    data = label_mixtures(
        mixer, even(mixer), odds, Labeller(EARWITNESS_SMALL, teacher, remembered), count=100, seed=0
    )
    assert data.space == EARWITNESS_SMALL
    assert data.features.shape == (100, *EARWITNESS_SMALL.shape)
    assert data.labels.shape == (100, COUNT)
    assert 0.0 < data.labels.mean() < 1.0
    assert (data.groups == "").all()
    (patches,) = seen
    assert patches.shape == (1000, 96, 64)
    np.testing.assert_array_equal(data.features[7], embed(patches[70:80]))
    stated = teacher.predict(patches[70:80])[1]
    np.testing.assert_array_equal(data.labels[7], teacher.categories(stated).max(axis=0) > PRESENT)
    assert data.fine is not None
    np.testing.assert_allclose(data.fine[7], probabilities(stated).max(axis=0), atol=1e-3)

    again = label_mixtures(mixer, even(mixer), odds, Labeller(EARWITNESS_SMALL, teacher, embed), count=100, seed=0)
    np.testing.assert_array_equal(again.features, data.features)
    np.testing.assert_array_equal(again.labels, data.labels)


def test_every_category_has_classes_that_the_teacher_knows() -> None:
    known = set(class_names())
    for category in CATEGORIES:
        assert known & set(AUDIOSET_CATEGORIES[category]), category


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_class_of_a_category_and_no_other_raises_its_score(teacher: Teacher, category: str) -> None:
    names = class_names()
    odds = np.full((CLASSES, CLASSES), -20.0, np.float32)
    np.fill_diagonal(odds, 3.0)
    raised = {names[row] for row in np.flatnonzero(teacher.categories(odds)[:, CATEGORIES.index(category)] > 0.5)}
    assert raised == set(AUDIOSET_CATEGORIES[category]) & set(names)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 300.0))
def test_scores_of_categories_are_probabilities_that_rise_with_the_odds(
    teacher: Teacher, seed: int, spread: float
) -> None:
    odds = np.random.default_rng(seed).normal(0.0, spread, (3, CLASSES)).astype(np.float32)
    scores = teacher.categories(odds)
    assert scores.shape == (3, COUNT)
    assert scores.dtype == np.float32
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert (teacher.categories(odds + 1.0) >= scores).all()


def test_log_odds_kept_at_half_precision_are_taken(teacher: Teacher) -> None:
    odds = np.random.default_rng(0).normal(0.0, 5.0, (4, CLASSES))
    np.testing.assert_allclose(teacher.categories(odds.astype(np.float16)), teacher.categories(odds), atol=5e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_a_moment_is_sought_for_a_category_only_if_it_is_detected_in_it(seed: int, moments: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.ones(moments))
    scores = rng.random((moments, COUNT)).astype(np.float32) ** 3
    chances = _chances(drawn, scores)
    assert chances.shape == (COUNT + 1, moments)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_array_equal(chances[COUNT], drawn)
    for row, received in zip(chances[:COUNT], (scores > PRESENT).T, strict=True):
        if received.any():
            assert (row[~received] == 0.0).all()
        else:
            np.testing.assert_array_equal(row, drawn)


def test_the_clearer_of_two_moments_is_sought_more_often() -> None:
    scores = np.zeros((3, COUNT), np.float32)
    scores[:, 0] = (0.9, 0.45, 0.1)
    np.testing.assert_allclose(_chances(np.full(3, 1 / 3), scores)[0], [2 / 3, 1 / 3, 0.0], atol=1e-6)


def test_coloured_noise_is_labelled_with_nothing_and_scenes_with_what_sounds_in_them(
    mixer: Mixer, teacher: Teacher
) -> None:
    label = Labeller(EARWITNESS_SMALL, teacher, embed)
    nothing = empty(mixer, label, 6, seed=0)
    assert nothing.features.shape == (6, *EARWITNESS_SMALL.shape)
    assert not nothing.labels.any()
    made = scenes(mixer, label, 5, seed=0)
    truth = []
    for number in range(5):
        scene = make_scene(np.random.default_rng([0, 2, number]), mixer.rate_hz)
        truth.append([int(name in scene.labels) for name in CATEGORIES])
    assert made.labels.tolist() == truth
    assert made.fine is not None
    assert made.fine.shape == (5, CLASSES)


def test_about_half_of_the_clips_are_quieter_than_they_were_made(
    mixer: Mixer, odds: Odds, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def levels() -> npt.NDArray[np.float64]:
        seen: list[npt.NDArray[np.float32]] = []

        def remembered(patches: npt.NDArray[np.float32]) -> Features:
            seen.append(patches)
            return embed(patches)

        label_mixtures(mixer, even(mixer), odds, Labeller(EARWITNESS_SMALL, teacher, remembered), count=100, seed=0)
        return np.asarray(np.exp(np.concatenate(seen)).reshape(100, -1).mean(axis=1))

    varied = levels()
    monkeypatch.setattr(labelled_mixtures, "QUIETEST_DB", 0.0)
    quieter = varied < 0.999 * levels()
    assert 30 <= quieter.sum() <= 70
