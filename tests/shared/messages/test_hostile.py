"""Values that no sensor of ours sends are refused with a reason, whatever they are, and never raise anything else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hub.domain.records import from_ms, to_ms
from shared.errors import InvalidError
from shared.messages.codec import decode_json
from shared.messages.event import decode_event, encode_event
from shared.messages.fields import LAST, Instant
from shared.messages.sensor import StateMessage
from tests.factories import event

DIGITS = int("9" * 400)
STATE: dict[str, Any] = {
    "version": 1,
    "site": "demo",
    "sensor": "street-1",
    "boot": "b1",
    "state": "ready",
    "source": "scene",
    "payload_format": "flac",
    "software": "1",
    "started_at": "2026-06-01T12:00:00Z",
    "report": {"at": "2026-06-01T12:00:00Z", "waiting": 1, "spool": 0.5, "dropped": 0, "certificate_end": None},
}


def state(report: dict[str, Any] | None = None, **fields: Any) -> bytes:
    return json.dumps(STATE | fields | {"report": STATE["report"] | (report or {})}).encode()


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_an_event_of_a_time_that_utc_cannot_express_is_invalid(at: str) -> None:
    fields = cbor2.loads(encode_event(event())) | {"captured_at": at}
    with pytest.raises(InvalidError, match=r"captured_at: .*years 1970 to 9998"):
        decode_event(cbor2.dumps(fields))


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (state({"at": "9999-12-31T23:59:59-12:00"}), "report.at"),
        (state({"at": "0001-01-01T00:00:00+14:00"}), "report.at"),
        (state({"certificate_end": "9999-12-31T23:59:59-12:00"}), "certificate_end"),
        (state({"certificate_end": "0001-01-01T00:00:00+14:00"}), "certificate_end"),
        (state(started_at="9999-12-31T23:59:59-12:00"), "started_at"),
        (state({"waiting": DIGITS}), "waiting"),
        (state({"dropped": DIGITS}), "dropped"),
        (state({"waiting": 2**53}), "waiting"),
        (state({"spool": 1e308}), "spool"),
        (state({"spool": float("inf")}), "spool"),
        (state({"spool": float("nan")}), "spool"),
        (state(software="x" * 10_000), "software"),
        (state(version=DIGITS), "version"),
    ],
)
def test_a_state_with_a_value_out_of_range_is_invalid(payload: bytes, field: str) -> None:
    with pytest.raises(InvalidError, match=field) as raised:
        decode_json(StateMessage, payload)
    assert len(str(raised.value)) < 1_000


def test_a_certificate_without_an_end_ends_last() -> None:
    report = decode_json(StateMessage, state({"certificate_end": "9999-12-31T23:59:59Z"})).report
    assert report is not None
    assert report.certificate_end == LAST


def test_a_field_of_a_newer_sensor_is_ignored() -> None:
    assert decode_json(StateMessage, state({"weather": 9}, mood="good")) == decode_json(StateMessage, state())
    assert decode_event(cbor2.dumps(cbor2.loads(encode_event(event())) | {"mood": "good"})) == event()


offsets = st.integers(-1439, 1439).map(
    lambda minutes: f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
)
times = st.builds(lambda at, offset: at.isoformat() + offset, st.datetimes(), offsets)


@given(times)
def test_a_time_that_is_taken_can_be_stored_and_shown_anywhere(text: str) -> None:
    try:
        at = TypeAdapter(Instant).validate_python(text)
    except ValidationError:
        return
    assert abs(from_ms(str(to_ms(at)).encode()) - at) < timedelta(milliseconds=1)
    assert at.tzinfo is UTC
    assert (at + timedelta(hours=14)).year < 10_000
    assert at >= datetime(1970, 1, 1, tzinfo=UTC)


numbers = st.integers() | st.floats() | st.sampled_from([DIGITS, -DIGITS])
tagged = st.builds(
    cbor2.CBORTag,
    st.sampled_from([0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 258, 260, 261, 1004, 43_000]),
    numbers | st.text(max_size=20) | st.binary(max_size=20) | st.lists(numbers, max_size=3),
)


@given(st.sampled_from(sorted(cbor2.loads(encode_event(event())))), numbers | tagged | times | st.text() | st.none())
def test_any_value_in_any_field_of_an_event_is_taken_or_invalid(field: str, value: object) -> None:
    fields = cbor2.loads(encode_event(event())) | {field: value}
    try:
        decoded = decode_event(cbor2.dumps(fields))
    except InvalidError as error:
        assert len(str(error)) < 2_000  # noqa: PT017
    else:
        encode_event(decoded)


@given(
    st.sampled_from(["at", "waiting", "spool", "dropped", "certificate_end"]),
    numbers | times | st.text() | st.none() | st.lists(st.integers()),
)
def test_any_value_in_any_field_of_a_report_is_taken_or_invalid(field: str, value: object) -> None:
    try:
        decoded = decode_json(StateMessage, state({field: value}))
    except InvalidError as error:
        assert len(str(error)) < 2_000  # noqa: PT017
    else:
        assert decode_json(StateMessage, decoded.model_dump_json().encode()) == decoded
