"""Cursors of lists: where the next page begins, as opaque text that clients send back.

Lists are sorted by time, newest first, then by id. A cursor is the time and id of a page's last item.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hub.store.event_queries import Cursor
from shared.errors import InvalidError

Item = TypeVar("Item")

FORM: Final = r"[0-9]{1,13}~[a-z0-9.|-]{0,450}"
"""Regular expression of the text of `encode_cursor`."""


def encode_cursor(cursor: Cursor | None) -> str | None:
    """Return a cursor as text; None stays None."""
    return None if cursor is None else f"{cursor.ms}~{cursor.id}"


def decode_cursor(text: str | None) -> Cursor | None:
    """Return the cursor of a text from `encode_cursor`; None or "" is the beginning.

    Raises:
        InvalidError: the text is not from `encode_cursor`.
    """
    if not text:
        return None
    if not re.fullmatch(FORM, text):
        raise InvalidError("`after` is not a cursor: send the `next` of an earlier answer")
    ms, _, name = text.partition("~")
    return Cursor(int(ms), name)


def paginate(
    fetch: Callable[[int, int | None], Sequence[Item]],
    place_of: Callable[[Item], Cursor],
    limit: int,
    after: Cursor | None,
) -> tuple[list[Item], Cursor | None]:
    """Return a page of a list whose store only supports "at most n items before this time".

    Args:
        fetch: returns at most n items before a time in ms (None: the newest), newest first.
        place_of: returns an item's cursor.
        limit: most items of the page.
        after: cursor of the item before the page; None for the first page.

    Returns:
        The items, and the cursor of the next page; None at the end.
    """
    extra = 16
    while True:
        wanted = limit + extra if after else limit
        fetched = fetch(wanted + 1, after.ms + 1 if after else None)
        fresh = sorted(
            (item for item in fetched if after is None or place_of(item) < after), key=place_of, reverse=True
        )
        if len(fresh) > limit or len(fetched) <= wanted:
            page = list(fresh[:limit])
            return page, place_of(page[-1]) if len(fresh) > limit else None
        extra *= 4  # more than `extra` items have the same time
