"""Recurrence of a detection: it comes at hours at which it often came before, and rarely at others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from hub.domain.recurrence.analysis import FEWEST_DAYS
from hub.domain.recurrence.forecast import WEEK, Ints, forecast
from hub.domain.recurrence.history import Interval, history_of

_MOST_DOUBT: Final = 0.05
"""Maximum doubt that there is a recurrence at this hour of day."""


def attributable_fraction(spans: Sequence[Interval], online: Ints, now: datetime, zone: ZoneInfo) -> float:
    """Return the probability that a detection is there because it recurs: the attributable fraction.

    If it is detected in one of ten hours on the whole, and in nine of ten at this hour, then eight of nine times it
    would not be there but for the rhythm.

    Args:
        spans: episodes of the category at the place; what began in the present hour is left out.
        online: int64 [h], rising: hours since 1970 UTC in which the sensor reported anything.
        now: aware.
        zone: the site's.

    Returns:
        In [0, 1]; 0 with episodes on fewer than three different days, or no evidence of a rhythm at this hour.

    Source: (P - P0) / P, the attributable fraction among the exposed.
    """
    present = int(now.timestamp()) // 3600
    past = [span for span in spans if span.opened_ms // 3_600_000 < present]
    if len({datetime.fromtimestamp(span.opened_ms / 1000, zone).date() for span in past}) < FEWEST_DAYS:
        return 0.0
    history = history_of(past, online, present, zone)
    before = len(history.active) - 1
    ahead = forecast(history.active[:before], history.observed[:before], history.hour_of_week[: before + WEEK])
    likely, usual = float(ahead.probability[0]), ahead.base_rate
    if likely <= usual or float(ahead.null_probability[0]) > _MOST_DOUBT:
        return 0.0
    return (likely - usual) / likely
