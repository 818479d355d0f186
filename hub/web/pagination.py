"""Cursors of lists: where the next page begins, as opaque text that clients send back.

Lists are sorted by time, newest first, then by id. A cursor is the time and id of a page's last item.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Final, Generic, TypeVar

from hub.domain.records import to_ms
from hub.store.event_queries import Cursor
from shared.errors import InvalidError

Item = TypeVar("Item")
Shown = TypeVar("Shown")

MAX_READ: Final = 2_000
"""Most items that one request reads."""
_BATCH: Final = 200

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


def begin_at(after: Cursor | None, until: datetime | None) -> Cursor | None:
    """Return the cursor after which a page begins: that of its request, or a time after which nothing is listed."""
    begin = None if until is None else Cursor(to_ms(until) + 1, "")
    return min((cursor for cursor in (after, begin) if cursor is not None), default=None)


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


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item, Shown]):
    """A list, and which of it is shown.

    Attributes:
        fetch: returns at most n items before a time in ms (None: the newest), newest first.
        cursor_of: returns an item's cursor; that of a shown item is the same.
        choose: returns those of some items that are shown, in the same order.
    """

    fetch: Callable[[int, int | None], Sequence[Item]]
    cursor_of: Callable[[Item | Shown], Cursor]
    choose: Callable[[Sequence[Item]], Sequence[Shown]]


def paginate_some(
    listing: Listing[Item, Shown], limit: int, after: Cursor | None, since_ms: int | None = None
) -> tuple[list[Shown], Cursor | None]:
    """Return a page of those items of a list that are shown.

    A request reads at most `MAX_READ` items: a page may be short, or empty, and still have a next one.

    Args:
        listing: the list.
        limit: most items of the page.
        after: cursor of the item before the page; None for the first page.
        since_ms: time before which no item is shown, ms since 1970 UTC.

    Returns:
        The items, and the cursor of the next page; None at the end.
    """
    shown: list[Shown] = []
    for size in (min(limit, _BATCH), *repeat(_BATCH, MAX_READ // _BATCH)):
        found, following = paginate(listing.fetch, listing.cursor_of, size, after)
        chosen = listing.choose(found)[: limit - len(shown)]
        shown += chosen
        if len(shown) == limit:
            last = listing.cursor_of(shown[-1])
            ended = following is None and last == listing.cursor_of(found[-1])
            return shown, None if ended else last
        if following is None or (since_ms is not None and following.ms < since_ms):
            return shown, None
        after = following
    return shown, after
