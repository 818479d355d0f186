import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.audio import decode_flac, encode_flac, fit, read_file, resample
from shared.errors import Invalid, Unavailable

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)


def test_flac_keeps_a_waveform_to_sixteen_bits() -> None:
    waveform, rate_hz = decode_flac(encode_flac(TONE, 48_000))
    assert rate_hz == 48_000
    assert np.abs(waveform - TONE).max() < 1 / 32_000


@pytest.mark.parametrize("data", [b"", b"fLaC", b"fLaC" + b"\0" * 100, encode_flac(TONE, 48_000)[:60]])
def test_damaged_flac_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_flac(data)


def test_audio_of_another_format_is_invalid() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 48_000, format="WAV")
    with pytest.raises(Invalid, match="WAV"):
        decode_flac(buffer.getvalue())


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_recordings_are_read_and_mixed_down(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.stack([TONE, TONE], axis=1), 48_000)
    waveform, rate_hz = read_file(path)
    assert (waveform.ndim, waveform.dtype.name, rate_hz) == (1, "float32", 48_000)
    assert abs(float(np.sqrt(np.mean(waveform**2))) - 0.3535) < 0.01


def test_a_file_that_is_no_recording_is_invalid_and_a_missing_one_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("not sound")
    with pytest.raises(Invalid):
        read_file(tmp_path / "x.wav")
    with pytest.raises(Unavailable):
        read_file(tmp_path / "none.wav")


def test_resampling_keeps_a_tone_and_its_length() -> None:
    low = resample(TONE, 48_000, 16_000)
    spectrum = np.abs(np.fft.rfft(low * np.hanning(low.size)))
    assert low.size == 16_000
    assert int(spectrum.argmax()) == 440
    assert resample(TONE, 48_000, 48_000) is TONE


def test_a_short_clip_repeats_and_a_long_one_is_cut() -> None:
    assert fit(np.array([1, 2, 3], np.float32), 7).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert fit(np.array([1, 2, 3], np.float32), 2).tolist() == [1, 2]
    with pytest.raises(Invalid):
        fit(np.empty(0, np.float32), 2)
