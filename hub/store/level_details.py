"""Levels of events beyond LAeq and LAFmax, as three fields of an event's hash.

1. `levels`: the levels in the order of `NAMES`, in hundredths of a decibel, little-endian int16.
2. `bands`: those of the third-octave bands from 20 Hz upwards, likewise.
3. `level_flags`: `o` for an overload, `u` for under-range.

A later version may add names at the end of `NAMES`. An event without `levels` was archived by an earlier hub, or its
sensor did not measure them. Lists and searches do not read these fields.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np

from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.rows import Rows
from shared.levels.values import LevelDetails

FIELDS: Final = ("levels", "bands", "level_flags")
NAMES: Final = (
    *("lceq", "lzeq", "lafmin", "lasmax", "laimax", "laieq", "lcpeak", "lae"),
    *("l1", "l5", "l10", "l50", "l90", "l95", "ambient"),
)
"""Order of the stored levels; `ambient` is left out if it is not known."""
_values_of: Final = attrgetter(*NAMES)


def level_fields(details: LevelDetails) -> dict[str, str | bytes]:
    """Return level details as fields of their event's hash."""
    known = [value for value in _values_of(details) if value is not None]
    packed = np.rint(np.array([*known, *details.bands]) * 100.0).astype("<i2").tobytes()
    return {
        "levels": packed[: 2 * len(known)],
        "bands": packed[2 * len(known) :],
        "level_flags": "o" * details.overload + "u" * details.under_range,
    }


def level_details_of(row: Sequence[bytes | None]) -> LevelDetails | None:
    """Return level details from the values of `FIELDS`; None if the event has none.

    Raises:
        InvalidError: a level that no sensor may send, or too many bands.
        TypeError: a level is missing.
        ValueError: a field is cut off.
    """
    levels, bands, flags = row
    if levels is None:
        return None
    known = dict(zip(NAMES, _unpacked(levels), strict=False))
    return LevelDetails(
        **known, bands=_unpacked(bands or b""), overload=b"o" in (flags or b""), under_range=b"u" in (flags or b"")
    )


class LevelDetailsReader:
    """Reads the level details of events.

    Args:
        client: client of the store.
        rows: counts rows that cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def fetch(self, events: Sequence[str]) -> dict[str, LevelDetails]:
        """Return the level details of those events that have some, by event; one round trip.

        Raises:
            UnavailableError: the store does not answer.
        """
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hmget(keys.event(event), FIELDS)
        found = {}
        for event, row in zip(events, pipe.execute(), strict=True):
            details = self._rows.read("event", event, level_details_of, row)
            if details is not None:
                found[event] = details
        return found


def _unpacked(value: bytes) -> tuple[float, ...]:
    return tuple((np.frombuffer(value, dtype="<i2") / 100.0).tolist())
