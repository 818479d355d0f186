"""Partial levels of the hours of an interval at a sensor, from hours and clips of the store; of page and API."""

from collections import defaultdict

from hub.domain.level_rows import HOUR_S, STATISTICS
from hub.domain.partial_levels import ClipLevel, PartialLevels, partial_levels
from hub.web.context import WebContext

_LAEQ = STATISTICS.index("laeq")


def read_partial_levels(parts: WebContext, place: str, start_s: int, end_s: int) -> list[PartialLevels]:
    """Return the partial levels of each hour of UTC from `start_s` until before `end_s`.

    Args:
        parts: the hub's parts.
        place: `site/sensor`.
        start_s: begin of an hour, in seconds since 1970 UTC.
        end_s: end of an hour, likewise.

    Raises:
        UnavailableError: the store does not answer.
    """
    table = parts.level_statistics.table(place, start_s, end_s, "hour")
    clips: dict[int, list[ClipLevel]] = defaultdict(list)
    for clip in parts.clip_levels.between(place, start_s, end_s):
        for hour in range(int(clip.start_s) // HOUR_S, int(clip.start_s + clip.duration_s) // HOUR_S + 1):
            clips[hour * HOUR_S].append(clip)
    hours = range(start_s, end_s, HOUR_S)
    return [
        partial_levels(at_s, laeq if seconds else None, seconds, table.unit, clips[at_s])
        for at_s, laeq, seconds in zip(hours, table.levels[:, _LAEQ].tolist(), table.seconds.tolist(), strict=True)
    ]
