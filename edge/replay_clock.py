"""Stamp and pace replayed clips: stream time and wall time.

Stream time starts at `start` and advances by one clip length per clip at any speed, so that a replayed day has 24 h
for the hub's rules. Wall time is divided by the speed: above 1 the stream runs ahead of the wall clock. A clip is due
when it would have ended, so at speed 1 no stamp lies in the future.

With `source.timestamps = played` a replay is stamped by wall time instead: each clip ends when it is played. At a
speed above 1 the clips of a sensor then overlap.
"""

from datetime import datetime, timedelta

from shared.events import CLIP_S


def clip_start(start: datetime, index: int, clip_s: float = CLIP_S) -> datetime:
    """Return the stream time at which clip `index` (from 0) begins."""
    return start + timedelta(seconds=index * clip_s)


def stamp_played(now: datetime, clip_s: float = CLIP_S) -> datetime:
    """Return the wall time at which a clip that ends now begins."""
    return now - timedelta(seconds=clip_s)


def next_due_s(due_s: float, now_s: float, speed: float, clip_s: float = CLIP_S) -> float:
    """Return the wall time at which the next clip is due.

    A source that was delayed (full spool, slow machine) catches up by at most one clip, never in a burst.

    Args:
        due_s: time at which the previous clip was due; for the first clip, the start of the run.
        now_s: current time, on the same monotonic scale.
        speed: seconds of stream time per second of wall time, above 0.
        clip_s: length of a clip in seconds of stream time.
    """
    step_s = clip_s / speed
    return max(due_s, now_s - step_s) + step_s
