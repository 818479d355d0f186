import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.flagging.rule import FlagRule, flag, shared_presence
from hub.model.presence import BOTH, NEITHER, ONE
from hub.search.match import Match
from shared.taxonomy import CATEGORIES


def match(level: float, both: dict[str, float]) -> Match:
    matrix = np.zeros((8, 3), np.float32)
    matrix[:, NEITHER] = 1.0
    for name, p in both.items():
        matrix[CATEGORIES.index(name)] = 0
        matrix[CATEGORIES.index(name), BOTH] = p
        matrix[CATEGORIES.index(name), ONE] = 1 - p
    return Match(event="a.b.1", place="demo/a", captured_ms=0, level=level, rank=level, matrix=matrix)


def test_shared_silence_alone_is_no_alert() -> None:
    assert flag(FlagRule(), [match(8.0, {})]) == []


def test_a_shared_category_alone_is_no_alert() -> None:
    assert flag(FlagRule(min_level=7.0), [match(6.9, {"dog": 0.9})]) == []


def test_level_and_shared_presence_together_are() -> None:
    good = match(7.0, {"dog": 0.5})
    assert flag(FlagRule(min_level=7.0, min_shared=0.5), [match(8, {}), good]) == [good]


def test_shared_categories_come_likeliest_first() -> None:
    found = shared_presence(match(8, {"engine": 0.6, "dog": 0.9, "music": 0.2}), 0.5)
    assert list(found) == ["dog", "engine"]
    assert list(found.values()) == pytest.approx([0.9, 0.6])


@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0, 1)), max_size=20), st.integers(1, 5))
def test_flagged_matches_are_worthy_few_and_in_order(drawn: list[tuple[float, float]], most: int) -> None:
    matches = [match(level, {"dog": p}) for level, p in drawn]
    flagged = flag(FlagRule(min_level=7.0, max_matches=most), matches)
    worthy = [m for m in matches if m.level >= 7.0 and m.matrix[CATEGORIES.index("dog"), BOTH] >= 0.5]
    assert flagged == worthy[:most]
