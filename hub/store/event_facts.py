"""Events of a sensor without their features, for lists of many: times, levels, categories, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import redis

from hub.store import keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.rows import Rows
from shared.events import EventId
from shared.taxonomy import COUNT

_FIELDS: Final = (
    "captured_ms",
    "received_ms",
    "duration_s",
    "laeq",
    "lafmax",
    "level_unit",
    "presence",
    "calibration",
    "clock",
    "claimed_ms",
    "clip",
    "sealed_to",
)
_AT_ONCE: Final = 1_000
"""Events that are read in one round trip."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """An event without its features.

    Attributes:
        id: its id.
        captured_ms: when it is taken to have been captured, ms since 1970 UTC.
        received_ms: when it came.
        duration_s: its length in seconds.
        laeq: LAeq in `unit`.
        lafmax: LAFmax in `unit`.
        unit: dB or dBFS.
        presence: probability of each category, 8 values.
        calibration: id of the calibration; "" without one.
        clock: state of the clock of the sensor.
        claimed_ms: when the sensor claims that it was captured, if that is not believed; else None.
        sound: `clear`, `sealed`, or "" if the hub kept no sound.
    """

    id: EventId
    captured_ms: int
    received_ms: int
    duration_s: float
    laeq: float
    lafmax: float
    unit: str
    presence: tuple[float, ...]
    calibration: str
    clock: str
    claimed_ms: int | None
    sound: str


class EventFactsReader:
    """Reads events without their features; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    def between(self, place: str, since_ms: int, until_ms: int) -> list[EventFacts]:
        """Return the events of a sensor that were captured from a time until before another, the oldest first.

        Raises:
            UnavailableError: the store does not answer.
        """
        ids = self._ids(place, str(since_ms), f"({until_ms}")
        found: list[EventFacts] = []
        for start in range(0, len(ids), _AT_ONCE):
            found += self._read(ids[start : start + _AT_ONCE])
        return found

    def around(self, place: str, since_ms: int, until_ms: int) -> list[EventFacts]:
        """Return the last event before a time and the first one at or after another, those that exist.

        Raises:
            UnavailableError: the store does not answer.
        """
        before = self._ids(place, f"({since_ms}", "-inf", newest=1)
        return [*self._read(before), *self._read(self._ids(place, str(until_ms), "+inf", oldest=1))]

    @raises_unavailable
    def _ids(self, place: str, first: str, last: str, *, newest: int = 0, oldest: int = 0) -> Sequence[bytes]:
        index = keys.events_of(place)
        try:
            if newest:
                return list(self._redis.zrevrangebyscore(index, first, last, start=0, num=newest))
            limit = {"start": 0, "num": oldest} if oldest else {}
            return list(self._redis.zrangebyscore(index, first, last, **limit))
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("event index", place, error)
            return []

    @raises_unavailable
    def _read(self, ids: Sequence[bytes]) -> list[EventFacts]:
        pipe = self._redis.pipeline(transaction=False)
        names = [key.decode(errors="replace") for key in ids]
        for name in names:
            pipe.hmget(keys.event(name), _FIELDS)
        answers = zip(names, pipe.execute(raise_on_error=False), strict=True)
        read = (self._rows.read("event", name, partial(_facts, name), row) for name, row in answers)
        return [facts for facts in read if facts is not None]


def _facts(key: str, row: Any) -> EventFacts:  # noqa: ANN401 - an answer of the store
    """Return an event from the values of `_FIELDS`.

    Raises:
        InvalidError: no event id.
        TypeError: a field is missing, or the key holds something else.
        ValueError: a field holds something else.
    """
    if isinstance(row, Exception):
        raise TypeError(str(row))
    captured, received, duration, laeq, lafmax, unit, presence, calibration, clock, claimed, clip, sealed = row
    values = np.frombuffer(presence, dtype="<f4")
    if len(values) != COUNT:
        raise ValueError(f"{len(values)} categories")
    return EventFacts(
        id=EventId.parse(key),
        captured_ms=int(captured),
        received_ms=int(received),
        duration_s=float(duration),
        laeq=float(laeq),
        lafmax=float(lafmax),
        unit=unit.decode(),
        presence=tuple(values.tolist()),
        calibration=(calibration or b"").decode(),
        clock=(clock or b"unknown").decode(),
        claimed_ms=int(claimed) if claimed else None,
        sound=("sealed" if sealed else "clear") if clip else "",
    )
