"""Recordings as a source."""

from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge.sources import Sound, Unreadable
from edge.sources.files import FileSource, cut
from shared.errors import Invalid, Unavailable

RATE_HZ = 8_000


def record(path: Path, seconds: float, value: float = 0.25, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((int(seconds * RATE_HZ), channels), value), RATE_HZ)


def values(source: FileSource) -> list[float]:
    return [round(float(item.waveform[0]), 2) if isinstance(item, Sound) else -1.0 for item in source.items(Flag())]


@given(samples=st.integers(1, 5_000), rate_hz=st.integers(10, 120))
def test_clips_are_all_ten_seconds_and_only_a_short_end_is_dropped(samples: int, rate_hz: int) -> None:
    waveform = np.arange(samples, dtype=np.float32)
    clips = cut(waveform, rate_hz)
    assert clips
    assert {clip.size for clip in clips} == {10 * rate_hz}
    joined = np.concatenate(clips)
    kept = min(samples, joined.size)
    np.testing.assert_array_equal(joined[:kept], waveform[:kept])
    assert samples - kept < rate_hz


def test_a_short_recording_loops_to_a_whole_clip() -> None:
    (clip,) = cut(np.array([1, 2, 3], dtype=np.float32), 1)
    assert clip.tolist() == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]


def test_an_empty_recording_is_invalid() -> None:
    with pytest.raises(Invalid):
        cut(np.zeros(0, dtype=np.float32), RATE_HZ)


def test_recordings_of_all_folders_and_kinds_come_in_order_of_name(tmp_path: Path) -> None:
    record(tmp_path / "b" / "two.flac", 10, 0.5)
    record(tmp_path / "a" / "one.WAV", 20, 0.25, channels=2)
    record(tmp_path / "c.ogg", 10, 0.0)
    (tmp_path / "notes.txt").write_text("not sound")
    assert values(FileSource(tmp_path)) == [0.25, 0.25, 0.5, 0.0]


def test_an_unreadable_recording_is_reported_and_the_rest_is_heard(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 10)
    (tmp_path / "b.wav").write_bytes(b"RIFF nonsense")
    record(tmp_path / "c.wav", 0)
    record(tmp_path / "d.wav", 10)
    items = list(FileSource(tmp_path).items(Flag()))
    assert [type(item) for item in items] == [Sound, Unreadable, Unreadable, Sound]


def test_shards_divide_the_recordings_without_overlap(tmp_path: Path) -> None:
    for i in range(7):
        record(tmp_path / f"{i}.wav", 1, i / 10)
    heard = [value for shard in range(3) for value in values(FileSource(tmp_path, shard, 3))]
    assert sorted(heard) == [i / 10 for i in range(7)]


def test_a_loop_begins_again_and_stops_when_told(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 1)
    stop = Flag()
    source = FileSource(tmp_path, loop=True).items(stop)
    for _ in range(3):
        assert isinstance(next(source), Sound)
    stop.set()
    assert list(source) == []


def test_a_loop_over_nothing_readable_ends(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    assert len(list(FileSource(tmp_path, loop=True).items(Flag()))) == 1


def test_a_missing_folder_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"source\.path"):
        FileSource(tmp_path / "nowhere")
    with pytest.raises(Invalid, match="no recordings"):
        FileSource(tmp_path)
