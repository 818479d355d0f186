import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.thresholds import (
    MAX_THRESHOLD,
    MIN_THRESHOLD,
    CategoryHistory,
    apply_logit_shift,
    fit_logit_shift,
    fit_thresholds,
    poisson_interval,
)

RNG = np.random.default_rng(0)
BUSY = CategoryHistory(RNG.uniform(0.3, 0.95, 900).tolist())
RARE = CategoryHistory(RNG.uniform(0.3, 0.95, 15).tolist())


def fitted(days: float = 30.0, budget: float = 2.0, **records: CategoryHistory) -> dict[str, float]:
    return {n: t.value for n, t in fit_thresholds(records, days, max_false_alerts_per_day=budget, start=0.5).items()}


def test_a_rare_category_keeps_the_lowest_threshold_and_a_busy_one_pays_for_itself() -> None:
    made = fit_thresholds({"engine": BUSY, "dog": RARE}, 30.0, max_false_alerts_per_day=2.0, start=0.5)
    assert made["dog"].value == 0.5
    assert made["engine"].value > 0.6
    assert made["engine"].false_alerts_per_day + made["dog"].false_alerts_per_day == pytest.approx(2.0, abs=0.05)
    assert made["engine"].low < made["engine"].false_alerts_per_day < made["engine"].high


def test_a_site_without_history_has_the_threshold_it_starts_with() -> None:
    assert fitted(engine=CategoryHistory([])) == {"engine": 0.5}


def test_the_first_day_counts_as_a_whole_one() -> None:
    assert fitted(days=0.01, engine=BUSY) == fitted(days=1.0, engine=BUSY)


def test_verdicts_that_alerts_were_wrong_raise_the_threshold_and_right_ones_lower_it() -> None:
    wrong, right = ([(0.8, verdict)] * 10 for verdict in (False, True))
    plain = fitted(engine=BUSY)["engine"]
    assert fitted(engine=CategoryHistory(BUSY.match_probability, wrong))["engine"] > plain + 0.05
    assert fitted(engine=CategoryHistory(BUSY.match_probability, right))["engine"] < plain - 0.02


def test_few_verdicts_move_little_and_many_agree_with_what_was_seen() -> None:
    assert -1.0 < fit_logit_shift([(0.8, False)]) < 0.0
    many = [(0.8, number % 2 == 0) for number in range(400)]
    assert apply_logit_shift(np.array([0.8]), fit_logit_shift(many))[0] == pytest.approx(0.5, abs=0.01)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.floats(0, 1), max_size=80), min_size=1),
    st.floats(0.01, 20),
    st.floats(0.5, 60),
)
def test_thresholds_never_cost_more_than_the_budget_if_a_threshold_can_help_it(
    drawn: dict[str, list[float]], budget: float, days: float
) -> None:
    made = fit_thresholds(
        {n: CategoryHistory(v) for n, v in drawn.items()}, days, max_false_alerts_per_day=budget, start=0.5
    )
    assert all(MIN_THRESHOLD <= t.value <= max(MAX_THRESHOLD, 0.5) for t in made.values())
    sure = sum(p >= MAX_THRESHOLD for values in drawn.values() for p in values)
    assert sum(t.false_alerts_per_day for t in made.values()) <= budget + sure * (1 - MAX_THRESHOLD) + 1e-9


def test_a_category_that_is_too_expensive_is_not_reported() -> None:
    made = fit_thresholds({"engine": CategoryHistory([0.9] * 900)}, 30.0, max_false_alerts_per_day=2.0, start=0.5)
    assert made["engine"].value > 0.9
    assert made["engine"].alerts_per_day == 0.0


def test_the_interval_holds_the_rate_at_least_nine_times_in_ten() -> None:
    rng = np.random.default_rng(1)
    for rate in (2.0, 10.0, 50.0):
        intervals = [poisson_interval(float(count)) for count in rng.poisson(rate, 2_000)]
        inside = [low <= rate <= high for low, high in intervals]
        assert 0.86 <= float(np.mean(inside)) <= 0.99  # counts are whole, so it is wider than it need be
