"""The settings of this machine's clock during a run, and the times of clips from before it was set right.

The time since the machine started (`elapsed_s`) never jumps. The clock's time less this time is constant until the
clock is set to another time. Each such setting is a *span* of clips.

1. A span in which the clock was synchronised is trusted most, then one with a plausible time.
2. The latest of the most trusted spans is the reference. Clips of less trusted spans, and of earlier synchronised
   ones, take the time that the reference would have given them. The order of capture is then the order of times.
3. Without a synchronised span it is unknown which of two plausible settings is right. Each clip keeps its time.

A level series has no sequence number. Its span is the one that stamped clips around its start; if there are several,
it keeps its time.

The capture thread observes, and the thread of the publisher asks.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from edge.clock import PLAUSIBLE_FROM, within_wire
from shared.events import CLIP_S, LATEST, ClockStatus

JUMP_S: Final = 1.0
"""Smallest difference of two settings of the clock, in seconds. systemd-timesyncd sets the clock if it is off by over
0.4 s, and slews it otherwise. Source: systemd, timesyncd-manager.c (NTP_MAX_ADJUST)."""
MOST_SPANS: Final = 64
"""Most spans that are kept; the clips of older ones keep their times."""
_ROUNDING: Final = timedelta(seconds=1)
"""A level series begins less than this before the clip of its first second."""
_LONGEST_CLIP: Final = timedelta(seconds=CLIP_S)
_IMPLAUSIBLE, _PLAUSIBLE, _SYNCHRONISED = range(3)


@dataclass(frozen=True, slots=True)
class _Span:
    """Clips from sequence number `first_seq` on, stamped with one setting of the clock.

    `offset_s` is the clock's time less the time since the machine started. `first_at` and `last_at` are the times of
    the first and the latest clip by this setting.
    """

    first_seq: int
    offset_s: float
    trust: int
    first_at: datetime
    last_at: datetime


class ClockHistory:
    """The settings of the clock during one run.

    Attributes:
        jumps: how often the clock was set to another time.
    """

    def __init__(self) -> None:
        self._spans: tuple[_Span, ...] = ()
        self.jumps = 0

    def observe(self, at: datetime, elapsed_s: float, status: ClockStatus, next_seq: int) -> bool:
        """Record the clock at one moment; return whether it was set to another time since the moment before.

        Args:
            at: time of the clock, timezone-aware.
            elapsed_s: time since the machine started at the same moment, in seconds (`edge.clock.elapsed_s`).
            status: status of the clock.
            next_seq: sequence number of the next clip.
        """
        trust = _PLAUSIBLE if PLAUSIBLE_FROM <= at < LATEST else _IMPLAUSIBLE
        if trust == _PLAUSIBLE and status == "synchronised":
            trust = _SYNCHRONISED
        offset_s = at.timestamp() - elapsed_s
        last = self._spans[-1] if self._spans else None
        if last is not None and abs(offset_s - last.offset_s) < JUMP_S:
            self._spans = (*self._spans[:-1], replace(last, trust=max(trust, last.trust), last_at=at))
            return False
        self._spans = (*self._spans, _Span(next_seq, offset_s, trust, at, at))[-MOST_SPANS:]
        self.jumps += last is not None
        return last is not None

    def correct(self, seq: int, at: datetime) -> tuple[datetime, ClockStatus] | None:
        """Return the time that a clip should have and the status of its clock; None if it keeps both.

        Args:
            seq: sequence number of the clip, of this run.
            at: time with which it was stamped.
        """
        spans = self._spans
        own = next((span for span in reversed(spans) if span.first_seq <= seq), None)
        return None if own is None else _corrected(own, spans, at)

    def correct_series(self, start: datetime) -> tuple[datetime, ClockStatus] | None:
        """Return the start that a level series should have and the status of its clock; None if it keeps both.

        Args:
            start: start of the series, of this run.
        """
        spans = self._spans
        own = [span for span in spans if span.first_at - _ROUNDING < start < span.last_at + _LONGEST_CLIP]
        return _corrected(own[0], spans, start) if len(own) == 1 else None


def _corrected(own: _Span, spans: tuple[_Span, ...], at: datetime) -> tuple[datetime, ClockStatus] | None:
    """Return the time of the reference for a time of a span, and the status of its clock; None if it keeps both."""
    reference = max(enumerate(spans), key=lambda numbered: (numbered[1].trust, numbered[0]))[1]
    shift_s = reference.offset_s - own.offset_s
    better = reference.trust > own.trust or reference.trust == _SYNCHRONISED
    if not better or abs(shift_s) < JUMP_S:
        return None
    right = within_wire(at + timedelta(seconds=shift_s))
    return right, "synchronised" if reference.trust == _SYNCHRONISED else "unsynchronised"
