"""The yardstick of feature spaces: a linear tagger."""

import numpy as np

from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset
from hub.training.linear import LinearTagger, by_linear_tagger
from hub.training.metrics import auc
from shared.space import VGGISH


def clips(count: int, seed: int) -> Dataset:
    """Each category lifts its own sixteen values a little, under noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 8)) < 0.4).astype(np.uint8)
    lifted = np.repeat(labels, 16, axis=1)[:, None, :] * 40.0
    features = np.clip(rng.normal(100, 30, (count, *VGGISH.shape)) + lifted, 0, 255).astype(np.uint8)
    return Dataset(VGGISH, features, labels, np.full(count, ""))


def test_it_learns_what_is_linear_and_tells_it_of_clips_it_never_saw() -> None:
    tagger, fresh = LinearTagger.of(clips(300, 0)), clips(200, 1)
    tags = tagger.tags(fresh)
    assert tags.shape == (200, 8)
    assert ((tags >= 0) & (tags <= 1)).all()
    assert min(auc(tags[:, c], fresh.labels[:, c] == 1) for c in range(8)) > 0.95


def test_the_same_clips_give_the_same_tagger_and_a_category_never_met_is_improbable() -> None:
    learnt = clips(100, 2)
    learnt.labels[:, 3] = 0
    first, second = LinearTagger.of(learnt), LinearTagger.of(learnt)
    np.testing.assert_array_equal(first.tags(learnt), second.tags(learnt))
    assert first.tags(clips(50, 3))[:, 3].max() < 0.1


def test_clips_are_ranked_by_the_expected_number_of_agreements() -> None:
    database, queries = clips(60, 4), clips(5, 5)
    tagger = LinearTagger.of(database)
    rank = by_linear_tagger(Benchmark(queries, database), tagger)
    own, theirs = tagger.tags(queries)[2], tagger.tags(database)
    expected = [sum(a * b + (1 - a) * (1 - b) for a, b in zip(own, event, strict=True)) for event in theirs]
    np.testing.assert_allclose(rank(2), expected, rtol=1e-5)
