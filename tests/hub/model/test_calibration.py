import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.calibration import KNOTS, Calibration, Curve, isotonic
from shared.errors import InvalidError

RISING = Curve((0.0, 1.0), (0.0, 1.0))


@given(st.integers(0, 2**32), st.integers(1, 3_000))
def test_a_measured_curve_never_falls_and_keeps_the_mean(seed: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 50, pairs).astype(np.float32)
    truth = rng.random(pairs) < scores / 60
    curve = isotonic(scores, truth)
    assert 1 <= len(curve.x) <= KNOTS
    assert (np.diff(curve.y) >= 0).all()
    assert curve(scores).min() >= 0.0
    assert curve(scores).max() <= 1.0
    assert curve(scores).mean() == pytest.approx(truth.mean(), abs=0.15)


def test_many_pairs_give_back_the_true_probabilities_also_where_they_are_few() -> None:
    rng = np.random.default_rng(1)
    scores = rng.exponential(1.0, 400_000)
    true = 1 - np.exp(-(scores**2) / 20)
    curve = isotonic(scores, rng.random(400_000) < true)
    at = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    assert np.abs(curve(at) - (1 - np.exp(-(at**2) / 20))).max() < 0.05


def test_neighbours_that_fall_are_pooled() -> None:
    scores = np.repeat([1.0, 2.0, 3.0], 20)
    truth = np.concatenate([np.ones(20), np.zeros(20), np.ones(20)]) == 1
    assert isotonic(scores, truth).y[0] == pytest.approx(0.5, abs=0.01)


def test_a_calibration_survives_as_json_values() -> None:
    a, b, c, d = (Curve((0.0,), (p,)) for p in (0.1, 0.2, 0.3, 0.4))
    made = Calibration(a, b, c, d, (RISING,) * 8, (RISING,) * 8)
    assert Calibration.of(made.document()) == made
    assert made.at_least(8) is made.level_8
    assert made.at_least(7) is made.level_7
    assert made.at_least(8, match=True) is made.match_8
    assert made.at_least(7, match=True) is made.match_7
    with pytest.raises(InvalidError):
        made.at_least(6)


@pytest.mark.parametrize(
    ("x", "y"),
    [((), ()), ((0.0,), (0.0, 1.0)), ((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (1.0, 0.0)), ((0.0,), (float("nan"),))],
)
def test_what_is_no_curve_is_refused(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    with pytest.raises(InvalidError):
        Curve(x, y)


def test_what_is_no_calibration_is_refused() -> None:
    with pytest.raises(InvalidError, match="not understood"):
        Calibration.of({"level_8": {}})
    with pytest.raises(InvalidError, match="8 curves"):
        Calibration(RISING, RISING, RISING, RISING, (), ())
    with pytest.raises(InvalidError):
        isotonic(np.empty(0), np.empty(0, dtype=bool))
