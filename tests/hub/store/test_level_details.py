"""Level details of events: what is written is read, and rows of earlier hubs and damaged rows break nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store.events import EventStore
from hub.store.level_details import FIELDS, NAMES, level_details_of, level_fields
from shared.errors import InvalidError
from shared.events import Levels
from shared.levels.values import LevelDetails
from tests.factories import stored

hundredths = st.integers(-25_000, 25_000).map(lambda number: number / 100.0)
LEVELS: dict[str, Any] = {name: float(number) for number, name in enumerate(NAMES[:-1])}
KNOWN = LevelDetails(**LEVELS, bands=(-1.5, 20.25), overload=True, ambient=40.0)


def row_of(details: LevelDetails) -> list[bytes]:
    values = [level_fields(details)[name] for name in FIELDS]
    return [value if isinstance(value, bytes) else value.encode() for value in values]


@given(
    levels=st.lists(hundredths, min_size=14, max_size=14),
    bands=st.lists(hundredths, max_size=31),
    flags=st.tuples(st.booleans(), st.booleans()),
    ambient=st.none() | hundredths,
)
def test_what_is_written_is_read(
    levels: list[float], bands: list[float], flags: tuple[bool, bool], ambient: float | None
) -> None:
    values: dict[str, Any] = dict(zip(NAMES, levels, strict=False))
    details = LevelDetails(**values, bands=tuple(bands), overload=flags[0], under_range=flags[1], ambient=ambient)
    assert level_details_of(row_of(details)) == details


def test_levels_that_a_later_hub_adds_are_ignored() -> None:
    levels, *rest = row_of(KNOWN)
    assert level_details_of([levels + b"\x00\x00", *rest]) == KNOWN


@pytest.mark.parametrize(
    "row",
    [(b"", b"", b""), (b"\x00", b"", b""), (b"\x00\x00" * 13, b"", b""), (b"\x00\x00" * 14, b"\x00\x00" * 32, b"")],
)
def test_a_damaged_row_cannot_be_read(row: tuple[bytes, ...]) -> None:
    with pytest.raises((InvalidError, TypeError, ValueError)):
        level_details_of(row)


@pytest.mark.redis
def test_details_are_archived_with_their_event(archive: EventStore) -> None:
    known, before, damaged = (replace(stored(seq), levels=Levels(1.0, 2.0, "dB", KNOWN)) for seq in range(3))
    archive.add_many([known, replace(before, levels=Levels(1.0, 2.0, "dB")), damaged])
    archive.client.hset(f"ew:event:{damaged.id}", "levels", b"\x00")
    keys = [str(event.id) for event in (known, before, damaged)]
    assert archive.level_details.fetch([*keys, "demo.street-1.boot.99"]) == {keys[0]: KNOWN}
    assert archive.rows.left_out == {"event": 1}
    assert [event.levels for event in archive.fetch(keys)] == [Levels(1.0, 2.0, "dB")] * 3
