"""The description of a source in a sentence."""

from datetime import UTC, datetime

import pytest

from hub.domain.source_summary import NOUNS, describe_source, ordinal
from shared.messages.alert import SourceMessage
from shared.taxonomy import CATEGORIES


def source(times: int, *, new: bool = False, regularity: str = "no clear rhythm") -> SourceMessage:
    at = datetime(2026, 11, 3, 7, tzinfo=UTC)
    return SourceMessage(
        id="4f2a9c01d7", new=new, probability=0.9, times=times, days=times, since=at, regularity=regularity
    )


def day(at: datetime) -> str:
    return f"{at.day} {at:%B}"


def test_a_known_source_is_reported_with_how_often_since_when_and_its_rhythm() -> None:
    reported = describe_source(source(6, regularity="weekdays around 07:00"), "powered-saw", day)
    assert reported == "this powered saw, the 6th time since 3 November, weekdays around 07:00"


def test_a_source_without_a_rhythm_is_reported_without_one() -> None:
    assert describe_source(source(2), "dog", day) == "this dog, the 2nd time since 3 November"
    assert describe_source(source(3, regularity=""), "music", day) == "this music, the 3rd time since 3 November"


def test_a_new_source_is_reported_as_new() -> None:
    assert describe_source(source(1, new=True), "machinery-impact", day) == "a machine, not detected here before"


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (121, "121st")]
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text


def test_every_category_has_nouns() -> None:
    assert set(NOUNS) == set(CATEGORIES)
