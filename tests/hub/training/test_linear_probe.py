"""The yardstick of feature spaces: a linear tagger."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset
from hub.training.linear_probe import LinearProbe, by_linear_tagger
from hub.training.ranking_metrics import auc
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace

TOY = FeatureSpace("toy/1", frames=3, dimension=4, low=-1.0, high=1.0)


def clips(count: int, seed: int) -> Dataset:
    """Each category lifts its own sixteen values a little, under noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 8)) < 0.4).astype(np.uint8)
    lifted = np.repeat(labels, 16, axis=1)[:, None, :] * 40.0
    features = np.clip(rng.normal(100, 30, (count, *VGGISH.shape)) + lifted, 0, 255).astype(np.uint8)
    return Dataset(VGGISH, features, labels, np.full(count, ""))


def test_it_learns_what_is_linear_and_reports_it_of_clips_it_never_saw() -> None:
    tagger, fresh = LinearProbe.of(clips(300, 0)), clips(200, 1)
    tags = tagger.tags(fresh)
    assert tags.shape == (200, 8)
    assert ((tags >= 0) & (tags <= 1)).all()
    assert min(auc(tags[:, c], fresh.labels[:, c] == 1) for c in range(8)) > 0.95


def test_the_same_clips_give_the_same_tagger_and_a_category_never_met_is_improbable() -> None:
    learned = clips(100, 2)
    learned.labels[:, 3] = 0
    first, second = LinearProbe.of(learned), LinearProbe.of(learned)
    np.testing.assert_array_equal(first.tags(learned), second.tags(learned))
    assert first.tags(clips(50, 3))[:, 3].max() < 0.1


def test_clips_are_ranked_by_the_expected_number_of_agreements() -> None:
    database, queries = clips(60, 4), clips(5, 5)
    tagger = LinearProbe.of(database)
    rank = by_linear_tagger(Benchmark(queries, database), tagger)
    own, theirs = tagger.tags(queries)[2], tagger.tags(database)
    expected = [sum(a * b + (1 - a) * (1 - b) for a, b in zip(own, event, strict=True)) for event in theirs]
    np.testing.assert_allclose(rank(2), expected, rtol=1e-5)


def any_clips(seed: int, count: int, values: int, space: FeatureSpace = TOY) -> Dataset:
    """Clips of which each value is one of a number of values, equally far apart; labels by chance."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, values, (count, *space.shape)) * (255 // max(values - 1, 1))
    labels = rng.integers(0, 2, (count, 8), dtype=np.uint8)
    return Dataset(space, features.astype(np.uint8), labels, np.full(count, ""))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30), st.sampled_from([1, 2, 256]), st.integers(1, 20))
def test_tags_are_probabilities_whatever_is_learned_and_embedded(
    seed: int, count: int, values: int, received: int
) -> None:
    tagger = LinearProbe.of(any_clips(seed, count, values))
    tags = tagger.tags(any_clips(seed + 1, received, 256))
    assert tags.shape == (received, 8)
    assert np.isfinite(tags).all()
    assert ((tags >= 0) & (tags <= 1)).all()


def test_when_a_sound_comes_within_a_clip_does_not_matter() -> None:
    learned, fresh = any_clips(1, 40, 256), any_clips(2, 10, 256)
    turned = Dataset(TOY, fresh.features[:, ::-1], fresh.labels, fresh.groups)
    tagger = LinearProbe.of(learned)
    np.testing.assert_allclose(tagger.tags(turned), tagger.tags(fresh), rtol=1e-9)


def test_the_order_of_the_clips_learned_does_not_matter() -> None:
    learned, fresh = any_clips(3, 60, 256), any_clips(4, 10, 256)
    shuffled = learned.take(np.random.default_rng(0).permutation(60))
    np.testing.assert_allclose(LinearProbe.of(shuffled).tags(fresh), LinearProbe.of(learned).tags(fresh), atol=1e-3)


def test_a_short_sound_counts_as_a_long_one_does_where_spaces_have_many_frames() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((80, 8), dtype=np.uint8)
    labels[::2, 0] = labels[::4, 1] = 1
    features = rng.integers(90, 110, (80, *LOGMEL.shape))
    features[labels[:, 0] == 1, 50, :20] = 240
    features[labels[:, 1] == 1, :, 60:80] += 20
    data = Dataset(LOGMEL, features.astype(np.uint8), labels, np.full(80, ""))
    tags = LinearProbe.of(data.take(np.arange(40))).tags(data.take(np.arange(40, 80)))
    assert [auc(tags[:, c], labels[40:, c] == 1) for c in range(2)] == [1.0, 1.0]


def test_a_single_clip_can_be_learned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags = LinearProbe.of(any_clips(5, 1, 256)).tags(any_clips(6, 3, 256))
    assert np.isfinite(tags).all()
