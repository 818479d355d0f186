"""What answers of the API of levels have in common: JSON or CSV, times, and intervals with a limit of rows."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from hub.domain.csv_rows import Row, csv_lines
from hub.web.api.params import Time, errors
from hub.web.export import MEDIA_TYPES
from shared.content_negotiation import preferred

CSV: Final = "text/csv"
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def answers(what: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of the answers of a route that has JSON and CSV."""
    return {200: {"content": {CSV: {"schema": {"type": "string"}}}, "description": what}, **errors(404, 422, 503)}


def wants_csv(request: Request) -> bool:
    """Return whether a client prefers CSV to JSON."""
    return preferred(request.headers.get("accept", ""), ("application/json", CSV)).startswith(CSV)


def csv_answer(columns: Sequence[str], rows: Iterator[Row]) -> StreamingResponse:
    """Return rows as CSV."""
    return StreamingResponse(csv_lines(columns, rows), media_type=MEDIA_TYPES["csv"])


def at_second(seconds: int) -> datetime:
    """Return a time, UTC, from seconds since 1970 UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def written(seconds: int) -> str:
    """Return the same as text of RFC 3339."""
    return at_second(seconds).isoformat().replace("+00:00", "Z")


def rounded(level: float | None) -> float | None:
    """Return a level as answers state it, to 0.1 dB."""
    return None if level is None else round(level, 1)


def interval(
    since: Time | None, until: Time | None, period_s: int, default: timedelta, most: int
) -> tuple[int, int, int | None]:
    """Return the begin and the end of an answer in seconds since 1970 UTC, and where the rest begins, or None.

    Args:
        since: begin; `default` before the end if None.
        until: end; the present if None.
        period_s: length of a row in seconds; begin and end are widened to whole periods.
        default: length of an interval without a begin.
        most: most rows of an answer.
    """
    end = until or datetime.now(UTC)
    start = since or max(end - default, _START)
    start_s = int(start.timestamp()) // period_s * period_s
    end_s = max(start_s, -(-math.ceil(end.timestamp()) // period_s) * period_s)
    most_s = start_s + most * period_s
    return start_s, min(end_s, most_s), most_s if most_s < end_s else None
