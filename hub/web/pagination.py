"""Where the next page of a list begins, as text that clients hand back unread.

Lists are ordered by time, newest first, and by id among equals; a cursor is the time and id of a page's last item.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hub.store.event_queries import Cursor
from shared.errors import InvalidError

Item = TypeVar("Item")

FORM: Final = r"[0-9]{1,13}~[a-z0-9.|-]{0,450}"
"""What `text_of` makes."""


def encode_cursor(cursor: Cursor | None) -> str | None:
    """A cursor as the API tells it; None stays None."""
    return None if cursor is None else f"{cursor.ms}~{cursor.id}"


def decode_cursor(text: str | None) -> Cursor | None:
    """A cursor from `text_of`; None, or nothing, is the beginning.

    Raises:
        Invalid: text that `text_of` did not make.
    """
    if not text:
        return None
    if not re.fullmatch(FORM, text):
        raise InvalidError("`after` is not what an earlier answer gave as `next`")
    ms, _, name = text.partition("~")
    return Cursor(int(ms), name)


def paginate(
    fetch: Callable[[int, int | None], Sequence[Item]],
    place_of: Callable[[Item], Cursor],
    limit: int,
    after: Cursor | None,
) -> tuple[list[Item], Cursor | None]:
    """A page of a list that can only be asked for "so many, before this time".

    Args:
        fetch: given how many and a time in ms (None: the newest), the newest items before it, newest first.
        place_of: an item's cursor.
        limit: most items.
        after: where the page begins.

    Returns:
        The items, and where the next page begins; None at the end.
    """
    extra = 16
    while True:
        wanted = limit + extra if after else limit
        found = fetch(wanted + 1, after.ms + 1 if after else None)
        fresh = sorted(
            (item for item in found if after is None or place_of(item) < after), key=place_of, reverse=True
        )
        if len(fresh) > limit or len(found) <= wanted:
            page = list(fresh[:limit])
            return page, place_of(page[-1]) if len(fresh) > limit else None
        extra *= 4  # more items than that share one instant
