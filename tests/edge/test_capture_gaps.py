"""The time without sound of a live source: counted from its clips, and while it goes on."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge.capture import Capture
from edge.capture_gaps import CaptureGaps
from edge.settings import EdgeSettings
from edge.sources import AudioClip
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.errors import UnavailableError
from shared.events import CLIP_S
from shared.settings import load_settings


def test_clips_that_follow_each_other_have_no_gap_and_the_start_is_none() -> None:
    gaps = CaptureGaps()
    assert gaps.delivered(100.0, CLIP_S, continues=False) == 0.0
    assert gaps.delivered(110.2, CLIP_S, continues=True) == 0.0, "the stamps jitter"
    assert gaps.delivered(120.0, CLIP_S, continues=False) == 0.0, "they overlap"
    assert gaps.total_s(200.0) == 0.0


def test_a_gap_is_what_lies_between_two_clips() -> None:
    gaps = CaptureGaps()
    gaps.delivered(100.0, CLIP_S, continues=False)
    gaps.failed(115.0)
    gaps.failed(120.0)
    assert gaps.delivered(145.0, CLIP_S, continues=False) == 35.0
    assert gaps.delivered(155.5, CLIP_S, continues=False) == 0.5, "samples were lost"
    assert gaps.total_s(1_000.0) == 35.5


def test_a_gap_that_goes_on_is_counted_and_the_sum_never_becomes_less() -> None:
    gaps = CaptureGaps()
    gaps.failed(50.0)
    sums = [gaps.total_s(now_s) for now_s in (50.0, 60.0, 70.0, 99.0)]
    assert sums == [0.0, 0.0, 10.0, 39.0]
    assert gaps.delivered(90.0, CLIP_S, continues=False) == 40.0, "its first clip came when it was complete"
    assert gaps.total_s(100.0) == 40.0


class Microphone:
    live, payload_format, description = True, "flac", "a microphone"

    def __init__(self, *given: float) -> None:
        self.given = list(given)

    def clips(self, stop: threading.Event) -> Iterator[AudioClip]:
        """Yield clips that began at some times; fail between them."""
        assert not stop.is_set()
        while self.given:
            sound = np.zeros(80_000, np.float32)
            yield AudioClip(sound, 8_000, datetime(2026, 6, 1, tzinfo=UTC), began_s=self.given.pop(0))
            if self.given:
                raise UnavailableError("the microphone was removed")


def test_the_agent_counts_and_logs_the_gap_of_a_microphone_that_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.capture.REOPEN_S", 0.0)
    spool = Spool(tmp_path / "s.db", 10**8)
    destination = Destination(spool, lambda: None)
    capture = Capture(load_settings(EdgeSettings, None, []), Microphone(1_000.0, 1_042.5), destination, "b")
    capture.run(threading.Event())
    spool.close()
    assert capture.tally.gaps.total_s(9e9) == 32.5
    (logged,) = [record for record in caplog.records if record.message == "the source delivers again"]
    assert vars(logged)["gap_s"] == 32.5
