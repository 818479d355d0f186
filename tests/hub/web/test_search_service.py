"""Recordings that people upload."""

import io
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hub.web.search_service import SearchHit, decode_upload, recorded_before
from shared.errors import InvalidError
from shared.messages.alert import MatchMessage
from tests.programs import program

RATE_HZ = 8_000
WAVE = np.sin(np.arange(12 * RATE_HZ) / 3) / 4


def made(
    kind: str, samples: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]" = WAVE, subtype: str = "PCM_16"
) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE_HZ, format=kind, subtype=subtype)
    return bytearray(buffer.getvalue())


def stating(frames: int) -> bytes:
    """FLAC whose header states a number of samples; 0 is unknown, as ffmpeg writes into a pipe."""
    raw = made("FLAC")
    raw[18:26] = (int.from_bytes(raw[18:26], "big") & ~((1 << 36) - 1) | frames).to_bytes(8, "big")
    raw[26:42] = bytes(16)
    return bytes(raw)


def unfinished() -> bytes:
    """A WAV file of a recorder that lost power."""
    raw = made("WAV")
    raw[40:44] = struct.pack("<I", 0)
    return bytes(raw)


@pytest.mark.parametrize(
    "data", [stating(0), stating(24 * RATE_HZ), stating((1 << 36) - 1), unfinished(), bytes(made("WAV"))]
)
def test_a_recording_is_read_whatever_its_header_states(data: bytes) -> None:
    waveform, rate_hz = decode_upload(data)
    assert (waveform.size, rate_hz) == (WAVE.size, RATE_HZ)


def test_an_mp3_file_is_read() -> None:
    waveform, rate_hz = decode_upload(bytes(made("MP3", subtype="MPEG_LAYER_III")))
    assert (waveform.size, rate_hz) == (WAVE.size, RATE_HZ)


def test_an_m4a_file_is_read(tmp_path: Path) -> None:
    ffmpeg = program("ffmpeg")
    (tmp_path / "in.wav").write_bytes(made("WAV"))
    file = tmp_path / "phone.m4a"
    subprocess.run([ffmpeg, "-v", "error", "-i", tmp_path / "in.wav", file], check=True)
    waveform, rate_hz = decode_upload(file.read_bytes())
    assert rate_hz == RATE_HZ
    assert waveform.size == pytest.approx(WAVE.size, abs=2_048)
    assert float(np.abs(waveform).max()) == pytest.approx(0.25, abs=0.05)
    with pytest.raises(InvalidError, match=r"no AAC or ALAC sound.*send wav"):
        decode_upload(file.read_bytes()[:2_000])


def test_without_ffmpeg_an_m4a_file_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(InvalidError, match="apt-get install ffmpeg"):
        decode_upload(b"\0\0\0\x18ftypM4A ")


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [(0.9, 0.8, "source"), (0.9, 0.2, "kind"), (0.9, None, "kind"), (0.3, 0.1, "no"), (None, None, "no")],
)
def test_a_search_states_what_was_recorded_before(kind: float | None, source: float | None, expected: str) -> None:
    match = MatchMessage(
        event="demo.s1.boot.0",
        site="demo",
        sensor="s1",
        captured_at=datetime(2026, 6, 1, tzinfo=UTC),
        level=4.0,
        shared={},
        match_probability=kind,
        same_source=source,
    )
    assert recorded_before([SearchHit(match)]) == expected
    assert recorded_before([]) == "no"


def test_an_inverted_channel_leaves_no_silence() -> None:
    waveform, _ = decode_upload(bytes(made("WAV", np.stack([WAVE, -WAVE], axis=1))))
    assert float(np.abs(waveform).max()) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no recording"),
        (b"404 Not Found", "no recording"),
        (bytes(made("WAV", WAVE[:0])), "no samples"),
        (bytes(made("AIFF")), "AIFF"),
        (bytes(made("WAV", WAVE * np.nan, "FLOAT")), "finite"),
        (bytes(made("WAV", WAVE * 32_767, "FLOAT")), "times full scale"),
        (bytes(made("FLAC", np.zeros(61 * RATE_HZ))), "more than 60 s"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(
        InvalidError, match=f"the recording: .*{why}.*send wav, flac, ogg, mp3 or m4a of at most 60 s"
    ):
        decode_upload(data)
