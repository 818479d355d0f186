"""Distributions and how far they moved."""

import numpy as np
import pytest

from hub.domain.psi import BINS, DIRECTIONS, Reference, decile_histogram, psi, random_projections
from shared.errors import InvalidError


def counts(values: np.ndarray) -> np.ndarray:
    return decile_histogram(values[:, None])


def test_samples_of_one_distribution_have_not_moved() -> None:
    rng = np.random.default_rng(0)
    for size in (20, 200, 2_000):
        found = [float(psi(counts(rng.random(size)), counts(rng.random(size)))[0]) for _ in range(50)]
        assert np.mean(found) < 0.2 * 20 / size + 0.05


def test_runs_of_clips_that_are_alike_are_no_drift() -> None:
    rng = np.random.default_rng(0)
    reference = counts(rng.random(2_000))
    found = [
        float(psi(counts(np.repeat(rng.random(spans), length)), reference, spans)[0])
        for spans, length in ((72, 4), (100, 20), (72, 40))
        for _ in range(100)
    ]
    assert np.mean(np.array(found) > 0.25) < 0.02


def test_what_moved_is_reported_and_the_further_the_more() -> None:
    rng = np.random.default_rng(0)
    reference = counts(rng.beta(2, 5, 2_000))
    near, far = (float(psi(counts(rng.beta(a, 5, 2_000)), reference)[0]) for a in (2.5, 5.0))
    assert 0.0 < near < 0.25 < far


def test_a_distribution_without_events_is_finite() -> None:
    empty = np.zeros((1, BINS), dtype=np.int64)
    assert np.isfinite(psi(empty, counts(np.random.default_rng(0).random(100)))).all()


def test_tenths_hold_both_ends() -> None:
    assert decile_histogram(np.array([[0.0], [0.099], [0.1], [1.0]]))[0].tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_directions_are_the_same_every_time_and_mean_over_frames() -> None:
    features = np.random.default_rng(0).integers(0, 256, (3, 10, 128), dtype=np.uint8)
    assert random_projections(features).shape == (3, DIRECTIONS)
    assert (random_projections(features) == random_projections(features)).all()
    flat = np.repeat(features.mean(axis=1, keepdims=True), 10, axis=1)
    assert np.allclose(random_projections(features), random_projections(flat))


def test_a_reference_is_what_it_was_after_it_was_written_and_read() -> None:
    rng = np.random.default_rng(0)
    presence = rng.random((300, 8), dtype=np.float32)
    features = rng.integers(100, 156, (300, 10, 128), dtype=np.uint8)
    made = Reference.from_sample(presence, features, 300)
    again = Reference.from_json(made.document())
    assert again.events == 300
    other = rng.integers(90, 170, (300, 10, 128), dtype=np.uint8)
    assert again.embedding_psi(other, 300) == made.embedding_psi(other, 300)
    assert again.embedding_psi(features, 300) == 0.0
    assert (again.presence_psi(presence, 300) == 0.0).all()
    assert again.embedding_psi(rng.integers(150, 256, (300, 10, 128), dtype=np.uint8), 300) > 0.25


@pytest.mark.parametrize("document", [{}, {"presence": [], "edges": [], "embedding": []}, {"presence": "x"}])
def test_what_is_no_reference_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        Reference.from_json(document)
