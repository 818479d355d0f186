"""Coverage: when the levels of a sensor are missing, and for which reason. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.level_rows import HOUR_S, runs
from hub.evidence.causes import Cause, Kind, Reason, explained

MINUTE_S: Final = 60

Present = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of time in which levels or events of a sensor are missing.

    Attributes:
        kind: what is missing.
        start_s: begin, in seconds since 1970 UTC.
        end_s: end, likewise.
        missing_s: seconds that are missing between them.
        reason: why.
        text: what shows it.
        boot: run of missing numbers of events; "" if no number is missing.
        first_seq: first missing number.
        last_seq: last missing number.
    """

    kind: Kind
    start_s: int
    end_s: int
    missing_s: int
    reason: Reason
    text: str
    boot: str = ""
    first_seq: int | None = None
    last_seq: int | None = None


def level_gaps(
    counts: npt.NDArray[np.int64], start_s: int, seconds: Mapping[int, Present], causes: Iterable[Cause]
) -> list[Gap]:
    """Return the gaps of the levels of a sensor, the earliest first.

    Of a minute whose seconds are not known any more, the gap is the whole minute, and `missing_s` states how much of
    it is missing.

    Args:
        counts: int64 [minutes], the seconds with levels of each minute, in [0, 60].
        start_s: begin of the first minute, in seconds since 1970 UTC.
        seconds: bool [3600], which seconds of an hour (since 1970 UTC) have levels; only where that is known.
        causes: why levels may be missing.
    """
    present = np.repeat(counts >= MINUTE_S, MINUTE_S)
    known = present.astype(np.int64)
    for number in np.flatnonzero((counts > 0) & (counts < MINUTE_S)).tolist():
        at_s = start_s + number * MINUTE_S
        hour = seconds.get(at_s // HOUR_S)
        minute = slice(number * MINUTE_S, (number + 1) * MINUTE_S)
        own = None if hour is None else hour[at_s % HOUR_S : at_s % HOUR_S + MINUTE_S]
        if own is not None and own.sum() == counts[number]:
            present[minute] = known[minute] = own
        else:
            known[minute][: counts[number]] = 1
    own_causes = [cause for cause in causes if "levels" in cause.kinds]
    gaps = []
    for first, end in runs(~present):
        for part in explained(start_s + first, start_s + end, own_causes):
            own_known = known[part.start_s - start_s : part.end_s - start_s]
            missing_s = len(own_known) - int(own_known.sum())
            if missing_s:
                gaps.append(Gap("levels", part.start_s, part.end_s, missing_s, part.reason, part.text))
    return gaps


def by_reason(gaps: Iterable[Gap]) -> dict[Reason, tuple[int, int]]:
    """Return the number of gaps and their missing seconds by reason, the most seconds first."""
    found: dict[Reason, tuple[int, int]] = {}
    for gap in gaps:
        number, missing_s = found.get(gap.reason, (0, 0))
        found[gap.reason] = (number + 1, missing_s + gap.missing_s)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))
