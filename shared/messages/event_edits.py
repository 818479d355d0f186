"""Change single fields of an encoded event message, without decoding its sound."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import cbor2

from shared.events import ClockStatus

_AUDIO: Final = frozenset({"sound", "sealed", "sealed_to"})
CorrectTime = Callable[[str, int, datetime], tuple[datetime, ClockStatus] | None]
"""A function of boot, sequence number and capture time: the right time and the status of its clock, or None."""


def mark_backlog(payload: bytes) -> bytes:
    """Return an event message with `backlog` set; anything else unchanged."""
    fields = _fields(payload)
    return payload if "version" not in fields else cbor2.dumps({**fields, "backlog": True})


def without_sound(payload: bytes) -> bytes | None:
    """Return an event message with an embedding without its audio; None if nothing remains without the audio."""
    fields = _fields(payload)
    if "embedding" not in fields:
        return None
    if not _AUDIO & fields.keys():
        return payload
    return cbor2.dumps({name: value for name, value in fields.items() if name not in _AUDIO})


def correct_time(payload: bytes, correct: CorrectTime) -> bytes:
    """Return an event message with a corrected capture time; anything else unchanged.

    Args:
        payload: the message.
        correct: returns the time and the status of the clock that the event should have, or None to keep both.
    """
    fields = _fields(payload)
    try:
        at = datetime.fromisoformat(fields["captured_at"])
        corrected = correct(str(fields["boot"]), int(fields["seq"]), at)
    except (KeyError, TypeError, ValueError):
        return payload
    if corrected is None:
        return payload
    at, status = corrected
    return cbor2.dumps({**fields, "captured_at": at.astimezone(UTC).isoformat(), "clock": status})


def _fields(payload: bytes) -> dict[str, Any]:
    """Return the fields of a message that this program encoded; none of anything else."""
    try:
        fields = cbor2.loads(payload, max_depth=4)
    except Exception:  # noqa: BLE001 - any exception: other modules decode tagged values
        return {}
    return fields if isinstance(fields, dict) else {}
