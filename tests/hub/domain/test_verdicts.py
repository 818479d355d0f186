"""Which verdict applies, and what a verdict corrects."""

from datetime import UTC, datetime, timedelta

from hub.domain.verdicts import Verdict, VerdictKind, standing, state_of

AT = datetime(2026, 11, 2, tzinfo=UTC)


def verdict(hour: int, kind: VerdictKind = "same", *, match: str | None = None, withdrawn: bool = False) -> Verdict:
    return Verdict(
        alert="demo.s1.boot.1",
        match=match,
        verdict=kind,
        categories=["music"],
        author="ines",
        at=AT + timedelta(hours=hour),
        site="demo",
        place="demo/s1",
        category="dog",
        match_probability=0.8,
        withdrawn_at=AT if withdrawn else None,
    )


def test_the_newest_verdict_that_is_not_withdrawn_applies() -> None:
    history = [verdict(2), verdict(1), verdict(3, withdrawn=True), verdict(4, match="demo.s9.boot.1")]
    assert standing(history, None) == history[0]
    assert standing(history, "demo.s9.boot.1") == history[3]
    assert standing(history[2:3], None) is None


def test_a_list_shows_the_verdict_on_the_whole_alert_before_those_on_matches() -> None:
    whole, first, last = verdict(1), verdict(2, match="demo.s9.boot.1"), verdict(3, match="demo.s9.boot.2")
    assert state_of([last, whole, first]) == whole
    assert state_of([last, first]) == last
    assert state_of([]) is None


def test_only_a_verdict_on_the_whole_alert_corrects_its_category() -> None:
    assert verdict(1, "wrong-category").corrected == ("music",)
    assert verdict(1, "wrong-category", withdrawn=True).corrected == ()
    assert verdict(1, "wrong-category", match="demo.s9.boot.1").corrected == ()
    assert verdict(1, "different").corrected == ()


def test_a_verdict_without_an_author_has_no_owner() -> None:
    anonymous = verdict(1).model_copy(update={"author": ""})
    assert verdict(1).is_of("ines")
    assert not verdict(1).is_of("otto")
    assert not anonymous.is_of("")
