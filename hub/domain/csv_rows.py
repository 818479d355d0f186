"""Rows as lines of CSV.

A cell that a spreadsheet would take for a formula begins with an apostrophe. Source: OWASP, CSV injection.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]

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


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()
