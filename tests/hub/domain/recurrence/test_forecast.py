import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.recurrence import forecast as forecasts
from hub.domain.recurrence.forecast import WEEK, Bools, Ints, forecast
from hub.domain.recurrence.forecast_windows import backtest, next_window, rolling_any


def weeks(n: int) -> Ints:
    """Hours of the week of n hours from Monday 0:00 and the week after."""
    return np.arange(n + WEEK) % WEEK


def nights(days: int, *, every: int = 2, hour: int = 23) -> Bools:
    active = np.zeros(days * 24, dtype=np.bool_)
    active[hour :: every * 24] = True
    return active


def noise(seed: int, days: int, rate: float) -> Bools:
    return np.random.default_rng(seed).random(days * 24) < rate


def observed_hours(active: Bools) -> Bools:
    return np.ones(len(active), dtype=np.bool_)


histories = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=400).map(
    lambda drawn: np.array(drawn, dtype=np.bool_).reshape(-1, 2).T
)


@given(histories)
def test_any_history_gives_probabilities(history: Bools) -> None:
    active, observed = history
    ahead = forecast(active, observed, weeks(len(active)))
    assert ahead.probability.shape == ahead.null_probability.shape == (WEEK,)
    assert ((ahead.probability > 0) & (ahead.probability < 1)).all()
    assert ((ahead.null_probability >= 0) & (ahead.null_probability <= 1)).all()
    assert 0 < ahead.base_rate < 1


@given(histories, st.integers(1, 3))
def test_hours_that_were_not_observed_change_nothing(history: Bools, before: int) -> None:
    active, observed = history[0] & history[1], history[1]
    longer = [np.concatenate([np.zeros(before * WEEK, dtype=np.bool_), row]) for row in (active, observed)]
    plain = forecast(active, observed, weeks(len(active)))
    padded = forecast(longer[0], longer[1], weeks(len(longer[0])))
    np.testing.assert_allclose(padded.probability, plain.probability)
    assert padded.base_rate == pytest.approx(plain.base_rate)


@given(histories, st.integers(0, 400))
def test_an_hour_is_judged_by_what_came_before_it_only(history: Bools, cut: int) -> None:
    def losses(active: Bools, observed: Bools) -> forecasts.Floats:
        n = len(active)
        known = np.concatenate([np.zeros(WEEK + 1), active, np.zeros(WEEK + 2)])
        seen = np.concatenate([np.zeros(WEEK + 1), active | observed, np.ones(WEEK + 2)])
        return forecasts._losses(forecasts._cells(known, seen, weeks(n)[:n]), active, observed)

    np.testing.assert_allclose(losses(*history[:, :cut]), losses(*history)[:, :cut])


def test_no_history_is_a_low_rate_and_no_evidence() -> None:
    nothing = np.zeros(0, dtype=np.bool_)
    ahead = forecast(nothing, nothing, weeks(0))
    assert ahead.probability.max() == pytest.approx(ahead.base_rate)
    assert ahead.base_rate == pytest.approx(0.05)
    assert ahead.null_probability.min() == pytest.approx(0.9)
    assert next_window(nothing, nothing, weeks(0)) is None


def test_every_other_night_is_distinguished_for_the_whole_week() -> None:
    active = nights(40)
    ahead = forecast(active, observed_hours(active), weeks(len(active))).probability.reshape(7, 24)[:, 23]
    assert (ahead[::2] > 0.6).all()
    assert (ahead[1::2] < 0.3).all()


def test_weekdays_are_distinguished_from_weekends() -> None:
    active = np.tile(np.arange(WEEK) % 24 == 7, 5) & (np.arange(5 * WEEK) % WEEK < 120)
    ahead = forecast(active, observed_hours(active), weeks(len(active))).probability.reshape(7, 24)
    assert (ahead[:5, 7] > 0.7).all()
    assert (ahead[5:, 7] < 0.2).all()
    assert (ahead[:, 12] < 0.05).all()


def test_the_next_window_is_the_next_time_and_states_what_is_usual() -> None:
    active = nights(40)
    window = next_window(active, observed_hours(active), weeks(len(active)))
    assert window is not None
    assert (window.begin, window.hours) == (23, 1)
    assert window.probability > 0.8
    assert window.base_rate == pytest.approx(1 / 48, rel=0.1)


def test_what_goes_on_at_present_is_not_the_next_window() -> None:
    active = np.tile(np.isin(np.arange(24), (9, 10, 11)), 30)
    until = active[: 29 * 24 + 10]
    window = next_window(until, observed_hours(until), weeks(len(until)))
    assert window is not None
    assert (window.begin, window.hours) == (23, 3)


def test_a_present_hour_is_known_but_not_counted() -> None:
    active = nights(41, hour=23)[: 40 * 24 + 24]
    over, running = observed_hours(active), observed_hours(active)
    running[-1] = False
    counted = forecast(active, over, weeks(len(active)))
    known = forecast(active, running, weeks(len(active)))
    assert known.base_rate < counted.base_rate
    assert known.probability[23] == pytest.approx(counted.probability[23], abs=0.05)
    assert known.probability[23] < 0.2


def test_no_window_where_it_never_or_always_sounds() -> None:
    for active in (np.zeros(720, dtype=np.bool_), np.ones(720, dtype=np.bool_)):
        assert next_window(active, observed_hours(active), weeks(720)) is None


def test_windows_in_random_noise_are_rare() -> None:
    found = [next_window(a, observed_hours(a), weeks(len(a))) for a in (noise(seed, 30, 0.03) for seed in range(60))]
    assert sum(window is not None for window in found) <= 3


def test_what_is_stated_of_a_window_comes_true_as_often() -> None:
    stated, came = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        happens = (np.arange(37 * 24) % 24 == 15) & (rng.random(37 * 24) < 0.6)
        active = happens | noise(seed + 1000, 37, 0.01)
        window = next_window(active[:720], observed_hours(active[:720]), weeks(720))
        if window is not None:
            stated.append(window.probability)
            came.append(active[720 + window.begin : 720 + window.begin + window.hours].any())
    assert len(stated) > 40
    assert np.mean(stated) == pytest.approx(np.mean(came), abs=0.15)


def test_held_out_windows_of_a_rhythm_beat_chance() -> None:
    active = nights(45)
    found = backtest(active, observed_hours(active), weeks(len(active)), np.flatnonzero(active)[-8:].tolist())
    assert found is not None
    assert found.windows == found.hits == 7, "the last one's is still to come"
    assert found.expected_by_chance < 1


def test_a_window_that_was_not_observed_throughout_is_not_judged() -> None:
    active = nights(45)
    observed = observed_hours(active)
    last = int(np.flatnonzero(active)[-1])
    active[last] = observed[last] = False
    cuts = np.flatnonzero(active)[-1:].tolist()
    assert backtest(active, observed, weeks(len(active)), cuts) is None


def test_within_looks_forward_and_an_end_not_observed_is_unknown() -> None:
    active = np.array([False, False, True, False])
    happened, known = rolling_any(active, np.ones(4, dtype=np.bool_), 2)
    assert happened.tolist() == [False, True, True, False]
    assert known.tolist() == [True, True, True, False]
