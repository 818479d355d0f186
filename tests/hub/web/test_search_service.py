"""Recordings that people upload."""

import io
import struct

import numpy as np
import pytest
import soundfile

from hub.web.search_service import decode_upload
from shared.errors import InvalidError

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
