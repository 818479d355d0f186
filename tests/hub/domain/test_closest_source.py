"""The place that is kept for the event closest by source."""

import numpy as np
import numpy.typing as npt
import pytest

from hub.domain.closest_source import NEAREST, Closest, Margins
from shared.errors import InvalidError

MARGINS = Margins(first=0.3, tenth=0.1)
COUNT = 30
CLOSEST = 20
"""The row that is closest by source, and 21st by kind."""
RANKS = np.linspace(8.0, 5.0, COUNT, dtype=np.float32)


def cosines(ahead: float, count: int = COUNT) -> npt.NDArray[np.float32]:
    """Cosines whose largest is so far above the eleventh."""
    made = np.linspace(0.2, 0.21, count, dtype=np.float32)
    made[CLOSEST % count] = np.sort(np.delete(made, CLOSEST % count))[-10 if count > 10 else 0] + ahead
    return made


def order(ahead: float, margins: Margins | None = MARGINS, count: int = COUNT) -> list[int]:
    closest = Closest.of(cosines(ahead, count)[None], np.arange(count)[None], margins)
    rows: list[int] = np.argsort(-closest.raised(RANKS[None, :count])[0], kind="stable").tolist()
    return rows


@pytest.mark.parametrize(
    ("ahead", "margins", "place"),
    [
        (0.31, MARGINS, 1),
        (0.29, MARGINS, 10),
        (0.11, MARGINS, 10),
        (0.09, MARGINS, CLOSEST + 1),
        (0.31, None, CLOSEST + 1),
    ],
)
def test_the_closest_stands_at_its_place_and_the_others_keep_their_order(
    ahead: float, margins: Margins | None, place: int
) -> None:
    rows = order(ahead, margins)
    assert rows.index(CLOSEST) + 1 == place
    assert [row for row in rows if row != CLOSEST] == [row for row in range(COUNT) if row != CLOSEST]


def test_an_event_that_stands_better_by_kind_stays_there() -> None:
    closest = Closest.of(cosines(0.2)[None], np.arange(COUNT)[None], MARGINS)
    ranks = RANKS.copy()
    ranks[CLOSEST] = 7.8
    assert closest.raised(ranks[None])[0].tolist() == ranks.tolist()
    assert np.flatnonzero(closest.marks(COUNT)[0]).tolist() == [CLOSEST]


@pytest.mark.parametrize("count", [0, 1, NEAREST - 1])
def test_nothing_stands_out_among_too_few_to_compare_with(count: int) -> None:
    few = np.full((2, count), 0.1, dtype=np.float32)
    few[:, :1] = 1.0
    newest = np.tile(np.arange(count), (2, 1))
    assert not Closest.of(few, newest, MARGINS).marks(count).any()
    padded = np.concatenate([few, np.full((2, COUNT), -np.inf, dtype=np.float32)], axis=1)
    assert not Closest.of(padded, np.tile(np.arange(count + COUNT), (2, 1)), MARGINS).marks(count + COUNT).any()


def test_of_equally_close_events_the_newest_keeps_the_place() -> None:
    alike = np.full((1, COUNT), 0.1, dtype=np.float32)
    alike[0, [3, 7, 12]] = 0.9
    newest = np.arange(COUNT)[None] % 11
    assert Closest.of(alike, newest, MARGINS).rows.tolist() == [7]


@pytest.mark.parametrize(("first", "tenth"), [(0.1, 0.2), (0.2, 0.0), (2.1, 0.1), (float("nan"), 0.1)])
def test_margins_that_do_not_rise_are_refused(first: float, tenth: float) -> None:
    with pytest.raises(InvalidError, match="margins rise from above 0"):
        Margins(first, tenth)


def test_margins_come_from_json_or_are_none() -> None:
    assert Margins.of(None) is None
    assert Margins.of({"first": 0.3, "tenth": 0.1}) == MARGINS
