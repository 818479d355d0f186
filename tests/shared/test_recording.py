"""Recordings whose headers do not match their content."""

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidError, UnavailableError
from shared.recording import Recording, of_bytes, opened, read_at_most

RATE_HZ = 8_000
PCM = (np.sin(np.arange(RATE_HZ * 3)) * 16_000).astype("<i2")


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def wav(*, riff: int, data: int, behind: bytes = b"", before: bytes = b"", sound: bytes | None = None) -> bytes:
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16))
    sound = PCM.tobytes() if sound is None else sound
    body = b"WAVE" + fmt + before + b"data" + struct.pack("<I", data) + sound + behind
    return b"RIFF" + struct.pack("<I", riff) + body


def flac(frames: int | None = None, samples: npt.NDArray[np.int16] = PCM) -> bytes:
    """FLAC whose header states a number of frames, 0 for unknown."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    raw = bytearray(buffer.getvalue())
    if frames is not None:
        word = int.from_bytes(raw[18:26], "big") & ~((1 << 36) - 1) | frames
        raw[18:26] = word.to_bytes(8, "big")
        raw[26:42] = bytes(16)
    return bytes(raw)


def read_all(data: bytes, block: int = 5_000) -> tuple[npt.NDArray[np.int16], list[str]]:
    recording = of_bytes(data)
    blocks = [np.empty((0, recording.channels), np.float32), *recording.blocks(block)]
    return np.round(np.concatenate(blocks)[:, 0] * 32_768).astype(np.int16), recording.faults


SIZE = PCM.nbytes


@pytest.mark.parametrize(
    "data",
    [
        wav(riff=0, data=0),
        wav(riff=8, data=0),
        wav(riff=36, data=0),
        wav(riff=4088, data=0, before=chunk(b"LIST", bytes(400))),
        wav(riff=36 + SIZE // 3, data=SIZE // 3),
        wav(riff=0xFFFFFFFF, data=0xFFFFFFFF),
        wav(riff=SIZE + 80, data=SIZE + 44),
        b"RF64"
        + wav(riff=0xFFFFFFFF, data=0xFFFFFFFF, before=b"")[4:12]
        + chunk(b"ds64", bytes(28))
        + wav(riff=0, data=0xFFFFFFFF)[12:],
    ],
    ids=["0", "8", "36", "long header", "a third", "unknown", "too much", "RF64"],
)
def test_a_header_that_was_never_finished_hides_no_sound(data: bytes) -> None:
    np.testing.assert_array_equal(read_all(data)[0], PCM)


def test_a_header_that_states_less_than_there_is_is_reported() -> None:
    assert read_all(wav(riff=0, data=0))[1] == [
        f"its header states 0 bytes of sound, it holds {SIZE}, which last 3.0 s: all of them are used"
    ]
    assert read_all(wav(riff=36 + SIZE, data=SIZE))[1] == []


@pytest.mark.parametrize(
    "behind", [chunk(b"LIST", b"INFO" + bytes(9)), chunk(b"guan", bytes(60_000)), bytes(30_000), b"ID3"]
)
def test_what_is_behind_the_sound_is_no_sound(behind: bytes) -> None:
    samples, faults = read_all(wav(riff=36 + SIZE + len(behind), data=SIZE, behind=behind))
    np.testing.assert_array_equal(samples, PCM)
    assert faults == []


def test_a_recording_of_nothing_is_none_whatever_is_behind_it() -> None:
    assert read_all(wav(riff=36, data=0, sound=b""))[0].size == 0
    assert read_all(wav(riff=66, data=0, sound=b"", behind=chunk(b"LIST", bytes(22))))[0].size == 0


@pytest.mark.parametrize("block", [1_000, 5_000, PCM.size, PCM.size + 1])
@pytest.mark.parametrize("frames", [0, PCM.size, 2 * PCM.size, (1 << 36) - 1])
def test_flac_is_read_to_its_end_whatever_its_header_states(frames: int, block: int) -> None:
    np.testing.assert_array_equal(read_all(flac(frames), block)[0], PCM)


def test_a_flac_file_that_holds_less_than_it_states_is_reported_and_one_of_unknown_length_is_not() -> None:
    assert read_all(flac(2 * PCM.size))[1] == ["it holds 3.0 of 6.0 s"]
    assert read_all(flac(0))[1] == []


def test_a_cut_flac_file_is_read_to_the_cut() -> None:
    samples, (fault,) = read_all(flac()[: len(flac()) * 2 // 3])
    assert PCM.size / 4 < samples.size < PCM.size
    np.testing.assert_array_equal(samples, PCM[: samples.size])
    assert "damaged after" in fault or "it holds" in fault


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_cut_ogg_file_is_read_to_the_cut(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "x.ogg"
    sound = np.sin(np.arange(480_000) / 20.0).astype(np.float32) / 2
    soundfile.write(path, sound, 48_000, format="OGG", subtype=subtype)
    whole, _ = soundfile.read(path, dtype="float32")
    data = path.read_bytes()
    samples, _ = read_all(data[: len(data) * 2 // 3])
    assert whole.size / 3 < samples.size < whole.size
    np.testing.assert_array_equal(samples, np.round(whole[: samples.size] * 32_768).astype(np.int16))


@pytest.mark.parametrize(
    "kind",
    [("OGG", "VORBIS"), ("OGG", "OPUS"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "FLOAT")],
    ids="-".join,
)
def test_blocks_are_the_sound_that_is_read_at_once(tmp_path: Path, kind: tuple[str, str]) -> None:
    path = tmp_path / "x"
    soundfile.write(path, np.stack([PCM, PCM[::-1]], axis=1), 48_000, format=kind[0], subtype=kind[1])
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    with opened(path) as recording:
        np.testing.assert_array_equal(np.concatenate(list(recording.blocks(999))), whole)


@pytest.mark.parametrize("rate_hz", [999, 1_000_001])
def test_a_rate_that_no_recorder_has_is_refused(rate_hz: int) -> None:
    raw = bytearray(wav(riff=36 + SIZE, data=SIZE))
    raw[24:28] = struct.pack("<I", rate_hz)
    with pytest.raises(InvalidError, match=str(rate_hz)):
        Recording(io.BytesIO(bytes(raw)))


def test_a_header_cannot_ask_for_much_memory() -> None:
    raw = bytearray(wav(riff=36 + SIZE, data=SIZE))
    raw[22:24] = struct.pack("<H", 1_000)
    raw[24:34] = struct.pack("<IIH", 384_000, 384_000 * 2_000, 2_000)
    with pytest.raises(InvalidError, match="1000 channels"):
        Recording(io.BytesIO(bytes(raw)))


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError), opened(tmp_path / "none.wav"):
        pass
    with pytest.raises(UnavailableError), opened(tmp_path):
        pass


@given(seconds=st.floats(0.001, 5))
def test_at_most_the_limit_is_read(seconds: float) -> None:
    samples = read_at_most(of_bytes(wav(riff=36 + SIZE, data=SIZE)), seconds)
    assert len(samples) == min(PCM.size, max(1, round(seconds * RATE_HZ)))


WHOLE = [wav(riff=36 + SIZE, data=SIZE, before=chunk(b"LIST", bytes(20))), flac()]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=8)), max_size=6)
)
def test_whatever_a_header_states_nothing_but_invalid_is_raised(
    data: bytes, changes: list[tuple[int, bytes]]
) -> None:
    raw = bytearray(data)
    for at, patch in changes:
        raw[at : at + len(patch)] = patch
    try:
        recording = of_bytes(bytes(raw))
    except InvalidError:
        return
    for block in itertools.islice(recording.blocks(10_000), 50):
        assert block.ndim == 2
