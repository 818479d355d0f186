"""Write rows of the archive as CSV or JSON lines, page by page, in bounded memory.

A cell that a spreadsheet would take for a formula begins with an apostrophe. Source: OWASP, CSV injection.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from hub.store.event_queries import Cursor

Format = Literal["csv", "jsonl"]
Item = TypeVar("Item")
Row = Mapping[str, Any]

MEDIA_TYPES: Final[Mapping[Format, str]] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_cell(value: object) -> object:
    """Return a value as a CSV cell: join lists by semicolons, prefix text that looks like a formula."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value.lstrip(" ").startswith(_RISKY):
        return f"'{value}"
    return value


def csv_lines(columns: Sequence[str], rows: Iterator[Row]) -> Iterator[str]:
    """Yield a header and rows as CSV lines (RFC 4180)."""
    yield _line(columns)
    for row in rows:
        yield _line([csv_cell(row.get(name)) for name in columns])


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


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()
