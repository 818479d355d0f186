"""When a replayed clip is stamped and when it is due: stream time and wall time, kept apart.

Stream time starts at `start` and advances one clip length per clip, whatever the speed, so the hub's rules
about recency see a real day. Wall time is divided by the speed: above 1 the stream runs ahead of the wall
clock. A clip is due when it would have ended, so at speed 1 nothing is stamped in the future.

A replay that is shown to people as if it happened now is stamped by wall time instead: each clip ends when it is
played. Above speed 1 the clips of a sensor then overlap.
"""

from datetime import datetime, timedelta

from shared.events import CLIP_S


def clip_start(start: datetime, index: int, clip_s: float = CLIP_S) -> datetime:
    """Stream time at which clip `index` (from 0) begins."""
    return start + timedelta(seconds=index * clip_s)


def stamp_played(now: datetime, clip_s: float = CLIP_S) -> datetime:
    """Wall time at which a clip that is played now begins: it ends now."""
    return now - timedelta(seconds=clip_s)


def next_due_s(due_s: float, now_s: float, speed: float, clip_s: float = CLIP_S) -> float:
    """Wall time at which the next clip is due.

    A source that was held up (spool full, slow machine) catches up by at most one clip, never in a burst.

    Args:
        due_s: when the previous clip was due; the start of the run for the first clip.
        now_s: wall time now, on the same monotonic scale.
        speed: seconds of stream per second of wall time, above 0.
        clip_s: length of a clip in seconds of stream.
    """
    step_s = clip_s / speed
    return max(due_s, now_s - step_s) + step_s
