"""The types of the fields of messages: every number and text is bounded, and every time is in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
LAST: Final = LATEST - timedelta(seconds=1)
"""Times of messages are in [EARLIEST, LATEST), so they exist in every time zone. Source: `datetime.MAXYEAR`."""


def in_utc(at: datetime) -> datetime:
    """Return an aware time in UTC.

    Raises:
        ValueError: it is outside [EARLIEST, LATEST).
    """
    try:
        moment = at.astimezone(UTC)
    except OverflowError:  # years 1 and 9999 with an offset
        moment = LATEST
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"must be in the years {EARLIEST.year} to {LATEST.year - 1}, in UTC")
    return moment


def _end_in_utc(at: datetime) -> datetime:
    """Return the time in UTC like `in_utc`; the year 9999, which means "no end", becomes `LAST`.

    Source: RFC 5280, 4.1.2.5.
    """
    return LAST if at.year == LATEST.year and at.utcoffset() == timedelta() else in_utc(at)


Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""A time of a message, always in UTC."""
EndTime = Annotated[AwareDatetime, AfterValidator(_end_in_utc)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A number of items. Source: RFC 8259, 6 (integers that every program can read)."""
Decibels = Annotated[float, Field(ge=-200.0, le=200.0)]
DetailDecibels = Annotated[float, Field(ge=-250.0, le=250.0)]
ItemId = Annotated[str, Field(max_length=256)]
"""Id of an event, an episode or an alert, or a sensor key (`site/sensor`)."""
CategoryName = Annotated[str, Field(max_length=64)]
NamePattern = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Content = Literal["sound", "features", "levels"]
"""The most private part of a message: audio, an embedding, or levels alone."""
CONTENTS: Final[tuple[Content, ...]] = ("sound", "features", "levels")
"""What a full spool sheds, first to last."""
