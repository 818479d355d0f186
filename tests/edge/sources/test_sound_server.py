"""A sensor records the monitor of a real sound server, loses the device, and finds it again under another name."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shared.audio import Waveform, decode_flac
from shared.events import CLIP_S, Event, Flac
from shared.levels.meter import LevelMeter
from tests.edge.test_metrics_endpoint import listener
from tests.server_processes import EdgeProcess, Mosquitto, eventually
from tests.sound_server import RATE_HZ, PulseAudio

pytestmark = pytest.mark.e2e

SECONDS = 13.0
MONITOR_S = 0.2
"""The monitor may have delivered silence before PulseAudio rewinds the sink for a stream that begins."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseAudio]:
    running = PulseAudio(tmp_path / "pulse", monkeypatch)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path / "broker", persistent=False)
    running.start()
    yield running
    running.stop()


def recording() -> Waveform:
    """Noise with blows and a tone that becomes louder: no two seconds have the same level."""
    rng = np.random.default_rng(7)
    at_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    blows = np.exp(-10.0 * (at_s % 0.7))
    wave = 0.02 * rng.normal(size=at_s.size) * (1.0 + 4.0 * blows) + 0.01 * at_s * np.sin(2 * np.pi * 700.0 * at_s)
    return np.clip(wave, -0.9, 0.9).astype(np.float32)


def exposure_db(events: list[Event]) -> float:
    """The sound exposure level of consecutive clips, in dB to full scale and 1 s."""
    return 10.0 * float(np.log10(sum(10.0 ** (event.levels.laeq / 10.0) * event.duration_s for event in events)))


def sound_of(events: list[Event]) -> Waveform:
    """The sound of consecutive clips."""
    parts = []
    for event in events:
        assert isinstance(event.body, Flac)
        parts.append(decode_flac(event.body.data)[0])
    return np.concatenate(parts)


def position(wave: Waveform, part: Waveform) -> int:
    """Where a part is in a longer sound, from the peak of the cross-correlation."""
    size = 1 << int(np.ceil(np.log2(wave.size + part.size)))
    product = np.fft.rfft(wave, size) * np.conj(np.fft.rfft(part, size))
    return int(np.argmax(np.fft.irfft(product, size)[: wave.size]))


def check_capture(events: list[Event], played: Waveform) -> None:
    """Consecutive clips hold all that was played, at its level."""
    for before, after in pairwise(events):
        step_s = (after.captured_at - before.captured_at).total_seconds()
        assert step_s == pytest.approx(CLIP_S, abs=0.5)
    own = LevelMeter(RATE_HZ).measure(played).levels
    assert exposure_db(events) - 10.0 * np.log10(SECONDS) == pytest.approx(own.laeq, abs=0.3)
    assert max(event.levels.lafmax for event in events) == pytest.approx(own.lafmax, abs=0.3)
    sound, last = sound_of(events), played[-RATE_HZ:]
    start = position(sound, last) + last.size - played.size
    begun = round(MONITOR_S * RATE_HZ)
    np.testing.assert_allclose(sound[start + begun : start + played.size], played[begun:], atol=3 / 32_768)


def test_what_a_sound_server_plays_is_captured_levelled_and_published_across_the_loss_of_the_device(
    tmp_path: Path, broker: Mosquitto, server: PulseAudio
) -> None:
    events, played = list[Event](), recording()
    link = listener(broker, events.append)
    module = server.add_sink("street")
    edge = EdgeProcess(tmp_path / "edge", broker.port, "source.kind=microphone", "spool.resend_window_s=0")
    try:
        server.wait_for_recorder()
        server.play(played)
        eventually(lambda: len(events) >= 2 and events[-1].levels.laeq < -100.0, 60, "the sound and silence after it")
        first = list(events)
        check_capture(first, played)

        server.control("unload-module", module)
        eventually(
            lambda: "the microphone was removed" in edge.log.read_text(),
            20,
            "the sensor reports that it lost its device",
        )
        server.add_sink("alley")
        server.wait_for_recorder()
        server.play(played)
        eventually(
            lambda: len(events) >= len(first) + 2 and events[-1].levels.laeq < -100.0, 60, "the sound once more"
        )
        again = [event for event in events if event.id.seq > first[-1].id.seq]
        if again[0].captured_at - first[-1].captured_at < timedelta(seconds=CLIP_S + 1.0):
            again = again[1:]  # the clip that ended just before the removal
        check_capture(again, played)
        logged_s = float(edge.log.read_text().rpartition("the source delivers again gap_s=")[2].split()[0])
        last, back = (event.captured_at for event in events if event.id.seq in {again[0].id.seq - 1, again[0].id.seq})
        assert logged_s == pytest.approx((back - last).total_seconds() - CLIP_S, abs=0.2)
        edge.process.send_signal(signal.SIGTERM)
        summary = edge.finish()
        assert summary["dropped"] == summary["unreadable"] == 0
        assert [event.id.seq for event in events] == list(range(summary["captured"])), "no clip is lost"
    finally:
        if edge.process.poll() is None:
            edge.process.kill()
            edge.process.wait(20)
        link.stop()
