import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.audio import decode_flac, encode_flac, flac_rate, pad_or_trim, read_file, resample
from shared.errors import InvalidError, UnavailableError

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)


def test_flac_keeps_a_waveform_to_sixteen_bits() -> None:
    waveform, rate_hz = decode_flac(encode_flac(TONE, 48_000))
    assert rate_hz == 48_000
    assert np.abs(waveform - TONE).max() < 1 / 32_000


@pytest.mark.parametrize("data", [b"", b"fLaC", b"fLaC" + b"\0" * 100, encode_flac(TONE, 48_000)[:60]])
def test_damaged_flac_is_invalid(data: bytes) -> None:
    with pytest.raises(InvalidError):
        decode_flac(data)


def test_audio_of_another_format_is_invalid() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 48_000, format="WAV")
    with pytest.raises(InvalidError, match="WAV"):
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
    with pytest.raises(InvalidError):
        read_file(tmp_path / "x.wav")
    with pytest.raises(UnavailableError):
        read_file(tmp_path / "none.wav")


def test_resampling_keeps_a_tone_and_its_length() -> None:
    low = resample(TONE, 48_000, 16_000)
    spectrum = np.abs(np.fft.rfft(low * np.hanning(low.size)))
    assert low.size == 16_000
    assert int(spectrum.argmax()) == 440
    assert resample(TONE, 48_000, 48_000) is TONE


def test_a_short_clip_repeats_and_a_long_one_is_cut() -> None:
    assert pad_or_trim(np.array([1, 2, 3], np.float32), 7).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert pad_or_trim(np.array([1, 2, 3], np.float32), 2).tolist() == [1, 2]
    with pytest.raises(InvalidError):
        pad_or_trim(np.empty(0, np.float32), 2)


def stating(frames: int) -> bytes:
    """The tone as FLAC whose header states a number of samples; 0 is unknown."""
    raw = bytearray(encode_flac(TONE, 48_000))
    raw[18:26] = (int.from_bytes(raw[18:26], "big") & ~((1 << 36) - 1) | frames).to_bytes(8, "big")
    raw[26:42] = bytes(16)
    return bytes(raw)


def test_a_flac_clip_of_unknown_length_is_decoded_and_one_that_lacks_sound_is_invalid() -> None:
    assert decode_flac(stating(0))[0].size == TONE.size
    with pytest.raises(InvalidError, match=r"it holds 1\.0 of 2\.0 s"):
        decode_flac(stating(2 * TONE.size))


def test_a_clip_of_several_channels_is_its_loudest_one() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([0 * TONE, TONE, -TONE], axis=1), 48_000, format="FLAC")
    assert np.abs(decode_flac(buffer.getvalue())[0] - TONE).max() < 1 / 32_000


@pytest.mark.parametrize("longest_s", [0.25, 1.0, 2.0])
def test_no_more_of_a_recording_is_read_than_is_asked_for(tmp_path: Path, longest_s: float) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, 48_000)
    assert read_file(tmp_path / "a.wav", longest_s)[0].size == min(TONE.size, int(longest_s * 48_000))


@pytest.mark.parametrize(
    ("samples", "reported"),
    [(TONE[:0], "no samples"), (TONE * np.nan, "not finite"), (TONE * 32_767, "times full scale")],
)
def test_what_cannot_be_sound_is_invalid_and_named(
    tmp_path: Path, samples: "np.ndarray[tuple[int], np.dtype[np.float32]]", reported: str
) -> None:
    soundfile.write(tmp_path / "a.wav", samples, 48_000, subtype="FLOAT")
    with pytest.raises(InvalidError, match=rf"a\.wav: .*{reported}"):
        read_file(tmp_path / "a.wav")


def test_a_rate_that_flac_does_not_state_is_invalid_and_another_is_offered() -> None:
    with pytest.raises(InvalidError, match="97656 Hz"):
        encode_flac(TONE, 97_656)
    assert [flac_rate(rate) for rate in (8_000, 65_535, 65_536, 97_656, 400_000)] == [
        *(8_000, 65_535, 65_530, 97_650, 384_000)
    ]
