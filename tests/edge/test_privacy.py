"""Privacy: which modes ever write sound to the disk, and which sound speech removes."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.capture import Capture
from edge.extractor import open_extractor
from edge.settings import EdgeSettings
from edge.sound_filter import SoundFilter
from edge.sources import AudioClip, SourceItem
from edge.speech_detector import RATE_HZ, SileroDetector, prepare
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.audio import Waveform
from shared.events import Embedding
from shared.messages.event import decode_event
from shared.settings import load_settings


class Street:
    """Gives clips of noise; every third is loud."""

    live, payload_format, description = True, "flac", "a street"

    def __init__(self, clips: int) -> None:
        rng = np.random.default_rng(0)
        self._clips = [
            AudioClip(rng.normal(0, 0.3 if n % 3 == 2 else 0.01, 10 * RATE_HZ).astype(np.float32), RATE_HZ)
            for n in range(clips)
        ]

    def clips(self, stop: threading.Event) -> Iterator[SourceItem]:
        assert not stop.is_set()
        yield from self._clips


def captured(tmp_path: Path, *overrides: str, clips: int = 6) -> tuple[Capture, Spool]:
    spool = Spool(tmp_path / "s.db", 10**8)
    settings = load_settings(EdgeSettings, None, overrides)
    capture = Capture(settings, Street(clips), Destination(spool, lambda: None), "b", open_extractor(settings))
    capture.run(threading.Event())
    return capture, spool


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_sensor_that_sends_embeddings_writes_no_sound_to_the_disk(tmp_path: Path) -> None:
    capture, spool = captured(tmp_path, "send.what=embeddings")
    assert b"fLaC" not in on_disk(tmp_path)
    assert len(spool.peek(20, levels=False)) == 6
    assert capture.tally.highest_seq == 5
    spool.close()
    assert b"fLaC" not in on_disk(tmp_path)


def test_the_search_of_the_disk_finds_sound_where_it_is_allowed(tmp_path: Path) -> None:
    _, spool = captured(tmp_path)
    assert b"fLaC" in on_disk(tmp_path)
    spool.close()


def test_events_have_consecutive_numbers(tmp_path: Path) -> None:
    capture, spool = captured(tmp_path, "send.what=events", "send.pre_roll_clips=0", "send.hold_clips=0", clips=12)
    events = [decode_event(entry.payload) for entry in spool.peek(20, levels=False)]
    assert [event.id.seq for event in events] == list(range(capture.tally.captured))
    assert capture.tally.captured == 4
    spool.close()


def test_a_budget_leaves_out_sound_and_reports_it(tmp_path: Path) -> None:
    capture, spool = captured(tmp_path, "features.with_sound=true", "send.max_bytes_per_hour=500000")
    events = [decode_event(entry.payload) for entry in spool.peek(20, levels=False)]
    assert [event.id.seq for event in events] == [0, 1, 2, 3, 4, 5]
    assert capture.tally.sound_over_budget == sum(event.sound is None for event in events) > 0
    assert capture.tally.features_over_budget == 0
    spool.close()


class Always:
    """Takes every clip for speech."""

    def contains_speech(self, waveform: Waveform, rate_hz: int) -> bool:
        return waveform.size > rate_hz


def test_speech_loses_its_sound_and_is_counted_in_seconds() -> None:
    withheld = SoundFilter(Always())
    assert withheld.select(np.zeros(160_000, np.float32), RATE_HZ) is None
    assert withheld.select(np.zeros(80_000, np.float32), RATE_HZ) is None
    assert withheld.speech_removed_s == 15.0
    assert SoundFilter().select(np.zeros(160_000, np.float32), RATE_HZ) is not None


def test_noise_keeps_its_sound_with_no_speech(tmp_path: Path) -> None:
    capture, spool = captured(tmp_path, "privacy.no_speech=true", clips=3)
    events = [decode_event(entry.payload) for entry in spool.peek(20, levels=False)]
    assert all(isinstance(event.body, Embedding) and event.sound is not None for event in events)
    assert capture.tally.speech_removed_s == 0.0
    spool.close()


@pytest.mark.parametrize("amplitude", [1e-4, 1e-2, 1.0])
def test_the_detector_receives_one_level_without_rumble(amplitude: float) -> None:
    time_s = np.arange(10 * 48_000) / 48_000
    rumble = np.sin(2 * np.pi * 50 * time_s)
    tone = 0.01 * np.sin(2 * np.pi * 1_000 * time_s)
    prepared = prepare((amplitude * (rumble + tone)).astype(np.float32), 48_000)
    assert prepared.size == 10 * RATE_HZ
    assert np.sqrt(np.mean(prepared**2)) == pytest.approx(0.1, rel=0.05)
    spectrum = np.abs(np.fft.rfft(prepared))
    assert spectrum[10_000] > 2 * spectrum[500]


@pytest.mark.parametrize("samples", [1, 511, 512, 160_000])
def test_silence_of_any_length_contains_no_speech(samples: int) -> None:
    detector = SileroDetector()
    silence = np.zeros(samples, np.float32)
    assert not detector.contains_speech(silence, RATE_HZ)
    assert detector.probabilities(silence, RATE_HZ).size == -(-samples // 512)
