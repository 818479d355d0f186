"""Counters of the capture thread."""

from dataclasses import dataclass, field

from edge.capture_gaps import CaptureGaps


@dataclass(slots=True)
class CaptureStats:
    """Counters of the capture thread. Only that thread writes them.

    Attributes:
        captured: events put in the spool.
        dropped: clips dropped because the spool was full or failed.
        unreadable: clips that could not be read.
        failures: failures of a live source, each followed by opening it again.
        progress_s: monotonic time at which the capture loop last made progress: a clip, a failure, a full spool.
        last_captured_s: time of the latest event put in the spool, in seconds since the epoch; 0 before the first.
        highest_seq: latest assigned sequence number, also of a dropped event; -1 before the first.
        failure: reason why a live source delivers nothing; empty while it delivers.
        sound_over_budget: clips whose audio was left out because the bandwidth budget was used up.
        features_over_budget: clips whose embedding was left out for this reason.
        speech_removed_s: length of the clips whose audio was withheld because of speech, in seconds.
        clock_jumps: times that the machine's clock was set to another time.
        level_seconds_dropped: seconds of level series that did not fit the spool or the budget, or that a replay
            ahead of the clock would have sent before their time.
        gaps: time for which a live source delivered no sound.
    """

    captured: int = 0
    dropped: int = 0
    unreadable: int = 0
    failures: int = 0
    progress_s: float = 0.0
    last_captured_s: float = 0.0
    highest_seq: int = -1
    failure: str = ""
    sound_over_budget: int = 0
    features_over_budget: int = 0
    speech_removed_s: float = 0.0
    clock_jumps: int = 0
    level_seconds_dropped: int = 0
    gaps: CaptureGaps = field(default_factory=CaptureGaps, init=False)
