import numpy as np
import pytest

from hub.search.candidates import CandidateTuner
from shared.errors import InvalidError


def positions(*of: int) -> np.ndarray:
    return np.array(of, dtype=np.int64)


def test_it_keeps_to_its_start_until_enough_was_measured() -> None:
    reach = CandidateTuner(target=0.99, start=700)
    for _ in range(15):
        reach.observe(positions(*range(10)))
    assert reach.candidates == 700
    assert reach.recall() == 1.0
    reach.observe(positions(*range(10)))
    assert reach.candidates == 1_000


def test_it_takes_the_fewest_candidates_whose_mean_recall_is_enough() -> None:
    reach = CandidateTuner(target=0.99)
    for _ in range(99):
        reach.observe(positions(*range(10)))
    reach.observe(positions(*range(9), 100_000))  # one of ten in one of a hundred: .999 without it
    assert reach.candidates == 1_000
    for _ in range(50):
        reach.observe(positions(*range(9), 1_900))
    assert reach.candidates == 2_000


def test_old_measurements_are_forgotten() -> None:
    reach = CandidateTuner()
    for _ in range(200):
        reach.observe(positions(*range(5_000, 5_010)))
    assert reach.candidates == 5_600
    for _ in range(200):
        reach.observe(positions(*range(10)))
    assert reach.candidates == 1_000


def test_few_measurements_that_differ_much_are_not_trusted() -> None:
    reach = CandidateTuner(target=0.9)
    for _ in range(20):
        reach.observe(positions(*range(10)))
    for _ in range(2):
        reach.observe(positions(*range(1_900, 1_910)))
    assert reach.candidates == 2_000, "the mean, .909, is only just enough: others to come may lack more"


def test_fewer_than_ten_best_count_as_all_there_is() -> None:
    reach = CandidateTuner()
    for _ in range(16):
        reach.observe(positions(3, 1, 2))
    assert reach.recall() == 1.0


@pytest.mark.parametrize(("target", "start"), [(0.0, 100), (1.1, 100), (0.9, 9)])
def test_senseless_values_are_refused(target: float, start: int) -> None:
    with pytest.raises(InvalidError):
        CandidateTuner(target, start)
