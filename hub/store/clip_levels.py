"""Levels and presence of the clips of a sensor between two times, without their features."""

import math
import struct
from functools import partial
from typing import Any, Final

import redis

from hub.domain.partial_levels import ClipLevel
from hub.store import keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.rows import Rows
from shared.errors import InvalidError
from shared.taxonomy import COUNT

_FIELDS: Final = ("duration_s", "laeq", "level_unit", "presence")
_PRESENCE: Final = struct.Struct(f"<{COUNT}f")
_LONGEST_MS: Final = 60_000
"""Clips that began at most this long before an interval, and reach into it, are read."""
_AT_ONCE: Final = 2_000


class ClipLevels:
    """Reads the levels of clips; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def between(self, place: str, start_s: int, end_s: int) -> list[ClipLevel]:
        """Return the clips of a sensor that are at least partly between two times, in order of time.

        Args:
            place: `site/sensor`.
            start_s: begin, in seconds since 1970 UTC.
            end_s: end, likewise.

        Raises:
            UnavailableError: the store does not answer.
        """
        lowest, highest = 1_000 * start_s - _LONGEST_MS, f"({1_000 * end_s}"
        found = self._redis.zrangebyscore(keys.events_of(place), lowest, highest, withscores=True)
        clips = []
        for first in range(0, len(found), _AT_ONCE):
            some = [(raw.decode(), at_ms / 1_000.0) for raw, at_ms in found[first : first + _AT_ONCE]]
            pipe = self._redis.pipeline(transaction=False)
            for event, _ in some:
                pipe.hmget(keys.event(event), _FIELDS)
            for (event, at_s), answer in zip(some, pipe.execute(raise_on_error=False), strict=True):
                clips.append(self._rows.read("event", event, partial(_clip_of, at_s), answer))
        return [clip for clip in clips if clip is not None and clip.start_s + clip.duration_s > start_s]


def _clip_of(at_s: float, answer: Any) -> ClipLevel | None:  # noqa: ANN401 - the client is untyped
    """Return a clip from the values of `_FIELDS`; None if the event was removed meanwhile.

    Raises:
        InvalidError: the key is no hash, or a field is missing or not finite.
        struct.error: the presence has another length.
        ValueError: a field is no number.
    """
    if isinstance(answer, redis.ResponseError):
        if not is_damage(answer):
            raise answer
        raise InvalidError("the key of the event is no hash") from answer
    if answer == [None] * len(_FIELDS):
        return None
    duration, laeq, unit, presence = answer
    if None in answer:
        raise InvalidError("the event has no duration, level or presence")
    probabilities = _PRESENCE.unpack(presence)
    duration_s, laeq_db = float(duration), float(laeq)
    if not math.isfinite(duration_s + laeq_db + sum(probabilities)):
        raise InvalidError("the event has a duration, level or presence that is not finite")
    return ClipLevel(at_s, duration_s, laeq_db, "dB" if unit == b"dB" else "dBFS", probabilities)
