"""Sealed sound on the wire: what a hub accepts, and what older programs sent."""

from dataclasses import replace
from typing import Any

import cbor2
import pytest

from shared.errors import InvalidError
from shared.events import Flac
from shared.messages.event import decode_event, encode_event
from shared.sealed_sound import HEADER, MOST_KEYS, SealedSound
from tests.factories import event
from tests.sealing import LOCKED

SEALED = SealedSound(HEADER + b"-> X25519 ...", (LOCKED.public,))


def fields(**changes: Any) -> bytes:
    known = cbor2.loads(encode_event(replace(event(), sound=SEALED)))
    return cbor2.dumps({name: value for name, value in (known | changes).items() if value is not None})


def test_sealed_sound_survives_the_wire() -> None:
    sent = replace(event(), sound=SEALED)
    assert decode_event(encode_event(sent)) == sent
    assert sent.audio == SEALED


def test_a_message_without_the_new_fields_stays_valid() -> None:
    assert decode_event(fields(sealed=None, sealed_to=None)).sound is None
    assert decode_event(fields(sealed=None, sealed_to=None, sound=b"fLaC..")).sound == Flac(b"fLaC..")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sealed": b"fLaC sound in clear"}, "not an age file"),
        ({"sealed": b""}, "sealed"),
        ({"sealed_to": None}, "together"),
        ({"sealed": None}, "together"),
        ({"sealed_to": []}, "sealed_to"),
        ({"sealed_to": ["age1short"]}, "sealed_to"),
        ({"sealed_to": [LOCKED.public] * (MOST_KEYS + 1)}, "sealed_to"),
        ({"sound": b"fLaC.."}, "not next to sound"),
        ({"embedding": None, "space": None, "flac": b"fLaC.."}, "next to an embedding"),
    ],
)
def test_what_is_not_sealed_as_documented_is_rejected(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        decode_event(fields(**changes))


@pytest.mark.parametrize("keys", [(), ("age1short",), (LOCKED.public,) * (MOST_KEYS + 1)])
def test_sealed_sound_needs_valid_public_keys(keys: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError, match="key"):
        SealedSound(HEADER, keys)
