"""The time for which a live source delivered no sound.

A gap is the time between the end of a clip and the begin of the next one, by a clock that never jumps. Clips that
follow each other have none. The time before the first clip counts if the source failed then.
"""

from dataclasses import dataclass, replace

from shared.events import CLIP_S


@dataclass(frozen=True, slots=True)
class _State:
    """The sum of the gaps that have ended, and when the last clip ended, in seconds; whether the source fails."""

    ended_s: float = 0.0
    until_s: float | None = None
    failing: bool = False


class CaptureGaps:
    """The sum of the gaps of one run. The capture thread records; any thread may read."""

    def __init__(self) -> None:
        self._state = _State()

    def failed(self, now_s: float) -> None:
        """Record that the source delivers nothing.

        Args:
            now_s: time since the machine started, in seconds (`edge.clock.elapsed_s`).
        """
        state = self._state
        self._state = replace(state, failing=True, until_s=now_s if state.until_s is None else state.until_s)

    def delivered(self, began_s: float, duration_s: float, *, continues: bool) -> float:
        """Record a clip; return the length of the gap before it in seconds, 0 without one.

        Args:
            began_s: time of its first sample, since the machine started, in seconds.
            duration_s: its length in seconds.
            continues: whether it follows the clip before it without a gap.
        """
        state = self._state
        gap_s = 0.0 if continues or state.until_s is None else max(0.0, began_s - state.until_s)
        self._state = _State(state.ended_s + gap_s, began_s + duration_s)
        return gap_s

    def total_s(self, now_s: float) -> float:
        """Return the sum in seconds, which never becomes less.

        A gap that has not ended counts without the clip that may be under way.

        Args:
            now_s: time since the machine started, in seconds.
        """
        state = self._state
        if not state.failing or state.until_s is None:
            return state.ended_s
        return state.ended_s + max(0.0, now_s - state.until_s - CLIP_S)
