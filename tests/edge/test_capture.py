"""The worker's loop: a microphone that is missing, clocks that are wrong, clips that cannot be encoded."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.capture import REOPEN_CAP_S, REOPEN_S, Capture
from edge.clock import clock_at, within_wire
from edge.settings import EdgeSettings
from edge.sources import AudioClip, SourceItem
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.errors import InvalidError, UnavailableError
from shared.events import EARLIEST, LATEST, EventId
from shared.messages.event import decode_event
from shared.settings import load_settings


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "s.db", 10**8)
    yield made
    made.close()


class Microphone:
    """Gives what a test sets; an exception among it is raised."""

    live, payload_format, description = True, "flac", "a microphone"

    def __init__(self, *given: SourceItem | Exception) -> None:
        self.given = list(given)

    def clips(self, stop: threading.Event) -> Iterator[SourceItem]:
        assert not stop.is_set()
        while self.given:
            one = self.given.pop(0)
            if isinstance(one, Exception):
                raise one
            yield one


def audio_clip(at: datetime | None = None) -> AudioClip:
    return AudioClip(np.zeros(80_000, np.float32), 8_000, at or datetime.now(UTC))


def capture_of(spool: Spool, source: Microphone, *settings: str) -> Capture:
    return Capture(load_settings(EdgeSettings, None, settings), source, Destination(spool, lambda: None), "b")


class Stop(threading.Event):
    """Keeps how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


def test_a_microphone_that_is_missing_is_opened_again_after_waits_that_grow(spool: Spool) -> None:
    away = [UnavailableError("no input device")] * 6
    capture, stop = capture_of(spool, Microphone(*away, audio_clip(), *away[:2], audio_clip())), Stop()
    capture.run(stop)
    assert stop.waits[:6] == [REOPEN_S, 10.0, 20.0, 40.0, REOPEN_CAP_S, REOPEN_CAP_S]
    assert stop.waits[6:] == [REOPEN_S, 10.0], "it was there in between"
    assert (capture.tally.captured, capture.tally.failures, capture.tally.failure) == (2, 8, "")


def test_why_it_delivers_nothing_is_reported_while_it_does_not(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    capture = capture_of(spool, Microphone(*[UnavailableError("no input device")] * 3, ValueError("a defect")))
    reported = []

    class Looking(Stop):
        def wait(self, timeout: float | None = None) -> bool:
            reported.append(capture.tally.failure)
            return super().wait(timeout)

    capture.run(Looking())
    assert reported == ["no input device"] * 3 + ["ValueError: a defect"]
    assert [record.levelname for record in caplog.records].count("ERROR") == 2, "each reason once"


@pytest.mark.parametrize(
    ("stated", "sent", "clock"),
    [
        (EARLIEST - timedelta(seconds=10), EARLIEST, "unsynchronised"),
        (EARLIEST + timedelta(seconds=5), EARLIEST + timedelta(seconds=5), "unsynchronised"),
        (datetime(1999, 12, 31, tzinfo=UTC), datetime(1999, 12, 31, tzinfo=UTC), "unsynchronised"),
        (datetime(2024, 12, 31, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC), "unsynchronised"),
        (datetime(9999, 12, 31, tzinfo=UTC), LATEST - timedelta(microseconds=1), "unsynchronised"),
    ],
)
def test_whatever_the_clock_shows_the_clip_is_sent(
    spool: Spool, stated: datetime, sent: datetime, clock: str
) -> None:
    capture = capture_of(spool, Microphone(audio_clip(stated)))
    capture.run(threading.Event())
    (waiting,) = spool.peek(10, levels=False)
    event = decode_event(waiting.payload)
    assert (event.captured_at, event.clock) == (sent, clock)
    assert capture.tally.unreadable == 0


def test_a_time_that_can_be_is_left_to_the_machines_own_judgement() -> None:
    assert clock_at(datetime(2026, 1, 1, tzinfo=UTC)) in {"synchronised", "unsynchronised", "unknown"}
    assert within_wire(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_clip_that_cannot_be_encoded_is_skipped_and_takes_no_number(spool: Spool) -> None:
    rate_that_flac_refuses = AudioClip(np.zeros(976_560, np.float32), 97_656, datetime.now(UTC))
    capture = capture_of(spool, Microphone(audio_clip(), rate_that_flac_refuses, audio_clip()))
    capture.run(threading.Event())
    assert [EventId.parse(one.event).seq for one in spool.peek(10, levels=False)] == list(
        range(capture.tally.captured)
    )
    assert capture.tally.captured + capture.tally.unreadable == 3
    assert capture.tally.highest_seq == capture.tally.captured - 1


def test_a_clip_that_a_full_spool_drops_takes_a_number(tmp_path: Path) -> None:
    small = Spool(tmp_path / "small.db", 100)
    capture = capture_of(small, Microphone(audio_clip(), audio_clip()))
    capture.run(threading.Event())
    assert (capture.tally.dropped, capture.tally.highest_seq) == (2, 1)
    small.close()


@pytest.mark.parametrize("start", ["9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"])
def test_a_start_that_no_event_may_bear_is_reported_with_the_settings(start: str) -> None:
    with pytest.raises(InvalidError, match="start_time must be in the years 1970 to 2199"):
        load_settings(EdgeSettings, None, [f"source.start_time={start}"])


def test_a_replay_that_runs_past_the_last_year_goes_on(spool: Spool) -> None:
    class Recordings(Microphone):
        live = False

    source = Recordings(*[AudioClip(np.zeros(80_000, np.float32), 8_000)] * 3)
    capture = capture_of(spool, source, "source.start_time=2199-12-31T23:59:50Z", "source.speed=1e6")
    capture.run(threading.Event())
    assert capture.tally.captured == 3
