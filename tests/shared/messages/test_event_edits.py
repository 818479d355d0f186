"""Single fields of an encoded event are changed, and nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given

from shared.events import ClockStatus, Embedding, Event, Flac
from shared.messages.event import decode_event, encode_event
from shared.messages.event_edits import correct_time, mark_backlog, without_sound
from tests.factories import event, events

SOUND = Flac(b"fLaC" + bytes(100))


def a_day_later(boot: str, seq: int, at: datetime) -> tuple[datetime, ClockStatus] | None:
    return (at + timedelta(days=1), "synchronised") if (boot, seq) == ("boot", 3) else None


@given(events)
def test_only_the_mark_of_the_backlog_changes(sent: Event) -> None:
    assert decode_event(mark_backlog(encode_event(sent))) == replace(sent, backlog=True)


@given(events)
def test_without_sound_the_embedding_and_all_else_is_kept(sent: Event) -> None:
    rest = without_sound(encode_event(sent))
    if not isinstance(sent.body, Embedding):
        assert rest is None
        return
    assert rest is not None
    assert decode_event(rest) == replace(sent, sound=None)
    assert without_sound(encode_event(replace(sent, sound=SOUND))) == rest


def test_a_time_is_corrected_with_the_status_of_its_clock_and_only_where_it_is_wrong() -> None:
    wrong, right = encode_event(event(3)), encode_event(event(4))
    at = event(3).captured_at + timedelta(days=1)
    assert decode_event(correct_time(wrong, a_day_later)) == replace(event(3), captured_at=at, clock="synchronised")
    assert correct_time(right, a_day_later) == right


@pytest.mark.parametrize("damage", [b"", b"\xff" * 10, b"a", b"\xa0", b"\xa1\x6bcaptured_at\x01"])
def test_what_is_not_an_event_is_left_as_it_is(damage: bytes) -> None:
    assert mark_backlog(damage) == correct_time(damage, a_day_later) == damage
    assert without_sound(damage) is None
