"""Convert archived events to index entries."""

from collections.abc import Sequence

from hub.domain.records import StoredEvent
from hub.search.backend import IndexEntry


def by_space(events: Sequence[StoredEvent]) -> dict[str, list[int]]:
    """Group events by feature space; return their positions."""
    rows: dict[str, list[int]] = {}
    for i, event in enumerate(events):
        rows.setdefault(event.space, []).append(i)
    return rows


def entry_of(event: StoredEvent) -> IndexEntry:
    """Return the index entry of an archived event."""
    return IndexEntry(
        event=str(event.id),
        place=event.place,
        captured_ms=round(event.captured_at.timestamp() * 1000),
        laeq=event.levels.laeq,
        presence=event.presence,
    )
