import pytest
from hypothesis import given

from shared.errors import InvalidError
from shared.messages.codec import STATE_CAP_BYTES, decode_json, encode_json
from shared.messages.sensor import StateMessage
from tests.factories import NOON, names


@given(names, names, names)
def test_a_state_survives_the_wire(site: str, sensor: str, boot: str) -> None:
    state = StateMessage(
        site=site,
        sensor=sensor,
        boot=boot,
        state="ready",
        source="synthetic",
        payload_format="flac",
        software="1",
        started_at=NOON,
    )
    assert decode_json(StateMessage, encode_json(state)) == state


def test_a_state_over_its_cap_is_refused() -> None:
    with pytest.raises(InvalidError, match="over the cap"):
        decode_json(StateMessage, b" " * (STATE_CAP_BYTES + 1))
