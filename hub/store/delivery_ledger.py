"""The delivery ledgers of sensors in the store; see `hub.domain.delivery_ledger`."""

from typing import Any, Final

import redis
from pydantic import TypeAdapter

from hub.domain.delivery_ledger import LedgerRow, LedgerState, advance, row_of
from hub.store import keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.json_rows import encode
from hub.store.rows import Rows
from shared.messages.sensor import StateMessage

FIELD: Final = "ledger"
"""The field of the hash of a sensor with the end of its ledger."""
_MOST: Final = 20_000
"""Rows that are kept of a sensor, the latest: 8 MB."""
_ROW: Final = TypeAdapter(LedgerRow)
_END: Final = TypeAdapter(LedgerState)


def queue(pipe: Any, state: StateMessage, at_ms: int, skew_s: float | None, end: LedgerState | None) -> None:  # noqa: ANN401 - the client is untyped
    """Queue the commands that enter a state message into the ledger of its sensor.

    Args:
        pipe: takes the commands.
        state: as announced.
        at_ms: when it came to the broker, ms since 1970 UTC.
        skew_s: how far the clock of the sensor was ahead, in seconds; None if it was not measured.
        end: the end of the ledger; None if it is empty.
    """
    place = f"{state.site}/{state.sensor}"
    after, rows = advance(end, row_of(state, at_ms, skew_s, None if end is None else end.row))
    pipe.hset(keys.sensor(place), FIELD, encode(_END.dump_python(after)))
    if rows:
        pipe.zadd(keys.delivery_ledger(place), {encode(_ROW.dump_python(row)): row.at_ms for row in rows})
        pipe.zremrangebyrank(keys.delivery_ledger(place), 0, -_MOST - 1)


def end_of(value: bytes) -> LedgerState:
    """Return the end of a ledger from its field.

    Raises:
        ValueError: no JSON, or a part is missing or is something else.
    """
    return _END.validate_json(value)


class DeliveryLedger:
    """Reads the delivery ledgers of sensors; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def rows(self, place: str) -> list[LedgerRow]:
        """Return the ledger of a sensor, the oldest row first; the last one is what it reported latest.

        Raises:
            UnavailableError: the store does not answer.
        """
        try:
            stored = self._redis.zrange(keys.delivery_ledger(place), 0, -1)
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("ledger", place, error)
            stored = []
        read = [
            self._rows.read("ledger", f"{place}:{number}", _ROW.validate_json, value)
            for number, value in enumerate(stored)
        ]
        found = [row for row in read if row is not None]
        end = self._rows.read("ledger", f"{place}:latest", end_of, self._redis.hget(keys.sensor(place), FIELD))
        if end is not None and (not found or end.row.at_ms > found[-1].at_ms):
            found.append(end.row)
        return found
