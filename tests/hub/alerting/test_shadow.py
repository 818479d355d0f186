import numpy as np

from hub.alerting.shadow import MIN_VERDICTS, compare, compare_thresholds

RNG = np.random.default_rng(0)
RIGHT = (RNG.random(100) < 0.5).tolist()
KNOWING = [0.8 if right else 0.2 for right in RIGHT]
GUESSING = [0.5] * 100


def test_a_candidate_that_knows_better_may_take_over() -> None:
    judged = compare(GUESSING, KNOWING, RIGHT)
    assert judged.better
    assert judged.candidate < judged.present
    assert judged.describe().startswith("better")


def test_one_that_knows_less_may_not() -> None:
    judged = compare(KNOWING, GUESSING, RIGHT)
    assert not judged.better
    assert judged.describe().startswith("not better")


def test_one_that_is_better_by_luck_may_not() -> None:
    shaken = np.clip(0.5 + RNG.normal(0, 0.1, 100), 0.01, 0.99).tolist()
    assert not compare(GUESSING, shaken, RIGHT).better


def test_few_verdicts_decide_nothing() -> None:
    few = MIN_VERDICTS - 1
    judged = compare(GUESSING[:few], KNOWING[:few], RIGHT[:few])
    assert not judged.better
    assert "undecided" in judged.describe()
    assert compare([], [], []).describe().startswith("undecided")


def test_the_same_twice_is_not_better() -> None:
    assert not compare(KNOWING, KNOWING, RIGHT).better


def test_a_threshold_that_keeps_the_right_alerts_and_drops_the_wrong_may_take_over() -> None:
    assert compare_thresholds(KNOWING, RIGHT, present=0.1, candidate=0.5).better
    assert not compare_thresholds(KNOWING, RIGHT, present=0.5, candidate=0.9).better
