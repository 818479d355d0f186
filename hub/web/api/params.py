"""Parameters and errors that several resources share, with their OpenAPI descriptions."""

import re
from collections.abc import Mapping
from datetime import MINYEAR, UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from hub.search.backend import By
from hub.web.middleware import HEADER
from hub.web.pagination import FORM
from hub.web.schemas import EVENT_EXAMPLE, ErrorResponse
from shared.events import ClockStatus
from shared.messages.fields import EARLIEST, LAST
from shared.taxonomy import CATEGORIES

BY: Final = "criterion of the ranking: kind of sound, source (the same machine, dog, siren or voice), or both"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
PLACE: Final = r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$"
_NUMBER: Final = r"([0-8][0-9]{0,15}|9[0-9]{0,14})"
"""A sequence number: below 9 * 10**15, and so below 2**53."""
EVENT: Final = rf"^([a-z0-9][a-z0-9-]{{0,62}}\.){{3}}{_NUMBER}$"
EPISODE: Final = rf"^([a-z0-9][a-z0-9-]{{0,62}}\.){{3}}{_NUMBER}\.[0-7]$"
CATEGORY: Final = "^(" + "|".join(CATEGORIES) + ")$"


def _written_out(value: object) -> object:
    """Check that a time has the form of RFC 3339; pydantic alone would also accept seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(_TIME, value, re.IGNORECASE):
        raise ValueError("write a time with its zone, like 2026-06-01T12:00:00Z")
    return value


def nearest_time(at: datetime) -> datetime:
    """Return the nearest time that an event can have, so that any time is a valid bound of a list."""
    try:
        return min(max(at.astimezone(UTC), EARLIEST), LAST)
    except OverflowError:  # years 1 and 9999 with an offset
        return EARLIEST if at.year == MINYEAR else LAST


Limit = Annotated[int, Query(ge=1, le=500, description="most items to return")]
After = Annotated[
    str | None, Query(pattern=f"^{FORM}$", description="`next` of an earlier answer: return the page after it")
]
Time = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(nearest_time)]
Since = Annotated[Time | None, Query(description="only at this time or later", examples=["2026-06-01T00:00:00Z"])]
Until = Annotated[Time | None, Query(description="only at this time or earlier", examples=["2026-06-02T00:00:00Z"])]
Place = Annotated[
    str | None, Query(pattern=PLACE, description="only of this `site/sensor`", examples=["demo/street-1"])
]
Site = Annotated[str | None, Query(pattern=NAME, description="only of this site", examples=["demo"])]
Category = Annotated[str | None, Query(pattern=CATEGORY, description="only of this category", examples=["music"])]
Clock = Annotated[ClockStatus | None, Query(description="only with this status of the sensor's clock")]
Backfilled = Annotated[
    bool | None, Query(description="true: only replays of old recordings; false: only live captures")
]
EventIdPath = Annotated[str, Path(pattern=EVENT, description="id of an event", examples=[EVENT_EXAMPLE])]
EpisodeName = Annotated[str, Path(pattern=EPISODE, description="id of an episode", examples=[f"{EVENT_EXAMPLE}.3"])]
Ranked = Annotated[By, Query(description=BY)]
Matches = Annotated[int, Query(ge=1, le=100, description="most matches to return")]
Width = Annotated[int, Query(ge=16, le=1600, description="pixels")]
Height = Annotated[int, Query(ge=16, le=600, description="pixels")]
CsrfHeader = Annotated[
    str | None,
    Header(alias=HEADER, description="any text; required unless the request comes from the hub's own page"),
]

_TEXTS: Final[Mapping[int, str]] = {
    400: "the body cannot be read",
    403: f"the request comes from another site and has no header `{HEADER}`",
    404: "not found",
    409: "the name is taken, or there are too many names",
    413: "the body is too large",
    415: "the body has an unsupported media type",
    422: "a parameter or the body is invalid",
    503: "the store is unavailable; repeat the request after `Retry-After` seconds",
}


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of error answers."""
    return {code: {"model": ErrorResponse, "description": _TEXTS[code]} for code in codes}
