"""Archived events as search backends take them."""

from collections.abc import Sequence

from hub.domain.records import StoredEvent
from hub.search.backend import IndexEntry


def by_space(events: Sequence[StoredEvent]) -> dict[str, list[int]]:
    """Return the events by their feature space."""
    rows: dict[str, list[int]] = {}
    for i, event in enumerate(events):
        rows.setdefault(event.space, []).append(i)
    return rows


def entry_of(event: StoredEvent) -> IndexEntry:
    """Return what a backend keeps of an archived event beside its towers."""
    return IndexEntry(
        event=str(event.id),
        place=event.place,
        captured_ms=round(event.captured_at.timestamp() * 1000),
        laeq=event.levels.laeq,
        presence=event.presence,
    )
