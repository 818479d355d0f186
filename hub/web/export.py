"""Write rows of the archive as CSV or JSON lines, page by page, in bounded memory."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

from hub.domain.csv_rows import Row
from hub.store.event_queries import Cursor

Format = Literal["csv", "jsonl"]
Item = TypeVar("Item")

MEDIA_TYPES: Final[Mapping[Format, str]] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def json_lines(rows: Iterator[Row]) -> Iterator[str]:
    """Yield rows as JSON, one per line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def iterate_pages(fetch: Callable[[Cursor | None], tuple[Sequence[Item], Cursor | None]]) -> Iterator[Item]:
    """Iterate over all items of a list; fetch the first page at once, so that errors are raised before an answer."""
    items, following = fetch(None)

    def rest() -> Iterator[Item]:
        yield from items
        after = following
        while after is not None:
            page, after = fetch(after)
            yield from page

    return rest()
