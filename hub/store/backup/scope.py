"""Which keys a backup leaves out.

Left out are logins, values that servers and hubs write to test or claim something, vectors for the Redis Query Engine
(a hub makes them of the events), and the time indexes of events (a restore makes them of the events). Of the stream
of changes only the position is kept: no hub continues in a restored store where it was.
"""

from typing import Final

from hub.store import keys

_NAMES: Final = frozenset(
    name.encode()
    for name in (keys.SYNCED, keys.ASKED, keys.HOME_ASSISTANT_HOLDER, keys.RESTORING, keys.SCHEMA, keys.EVENTS)
)
_BEGINS: Final = tuple(
    begin.rstrip(":").encode()
    for begin in (keys.check("", ""), keys.vector("", "", ""), keys.backup_copy("", ""), keys.session(""))
)
_INDEX: Final = keys.events_of("").encode()
_EVENT: Final = keys.event("").encode()
ALL: Final = f"{keys.EVERY}*"


def is_left_out(key: bytes) -> bool:
    """Return whether a backup leaves a key out."""
    return key in _NAMES or key.startswith((*_BEGINS, _INDEX))


def is_passing(key: bytes) -> bool:
    """Return whether a key holds no data of a hub, so that a store with such keys alone is empty."""
    return key in _NAMES - {keys.EVENTS.encode()} or key.startswith(_BEGINS)


def event_of(key: bytes) -> str | None:
    """Return the id of the event that a key holds; None for other keys."""
    return key.removeprefix(_EVENT).decode() if key.startswith(_EVENT) else None
