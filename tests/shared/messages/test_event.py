import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidError
from shared.events import Event
from shared.messages.event import EVENT_CAP_BYTES, decode_event, encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import event, events


@given(events)
def test_an_event_survives_the_wire(sent: Event) -> None:
    assert decode_event(encode_event(sent)) == sent


@given(st.binary(max_size=300))
def test_random_bytes_are_invalid_and_nothing_worse(payload: bytes) -> None:
    with pytest.raises(InvalidError):
        decode_event(payload)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary(), st.lists))
def test_other_cbor_is_invalid_and_nothing_worse(fields: object) -> None:
    with pytest.raises(InvalidError):
        decode_event(cbor2.dumps(fields))


def changed(**fields: object) -> bytes:
    message = cbor2.loads(encode_event(event()))
    message.update(fields)
    return cbor2.dumps({key: value for key, value in message.items() if value is not ...})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"laeq": float("nan")}, "laeq"),
        ({"lafmax": float("inf")}, "lafmax"),
        ({"laeq": 1e9}, "laeq"),
        ({"space": "yamnet/1"}, "unknown feature space"),
        ({"embedding": b"\0" * 1279}, "10 x 128"),
        ({"embedding": b"\0" * 70_000}, "embedding"),
        ({"embedding": "text"}, "embedding"),
        ({"flac": b"fLaC"}, "exactly one"),
        ({"embedding": None, "space": None}, "exactly one"),
        ({"embedding": None, "space": None, "flac": b"RIFF...."}, "not a FLAC"),
        ({"sensor": "Street 1"}, "sensor"),
        ({"seq": -1}, "seq"),
        ({"seq": True}, "seq"),
        ({"version": 2}, "version"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"captured_at": "2026-06-01T12:00:00"}, "captured_at"),
        ({"captured_at": "1969-12-31T23:59:59Z"}, "years 1970"),
        ({"duration_s": 0}, "duration_s"),
        ({"rate_hz": 10}, "rate_hz"),
        ({"site": ...}, "site"),
    ],
)
def test_a_wrong_field_is_named_in_the_reason(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        decode_event(changed(**fields))


def test_a_huge_message_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidError, match="over the cap"):
        decode_event(b"\0" * (EVENT_CAP_BYTES + 1))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidError, match="not CBOR"):
        decode_event(b"\x81" * 100_000)


def test_an_event_on_another_sensors_topic_is_refused() -> None:
    own = SensorTopic("demo", "street-1", "event")
    assert decode_event(encode_event(event()), own) == event()
    with pytest.raises(InvalidError, match="came on the topic of demo/street-2"):
        decode_event(encode_event(event()), SensorTopic("demo", "street-2", "event"))
