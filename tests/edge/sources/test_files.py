"""Recordings as a source."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge.sources import AudioClip, Doubtful, SourceItem, UnreadableClip
from edge.sources.files import RecordingSource, whole_clips
from shared.errors import InvalidError, UnavailableError

RATE_HZ = 8_000


def record(path: Path, seconds: float, value: float = 0.25, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((int(seconds * RATE_HZ), channels), value), RATE_HZ)


def values(source: RecordingSource) -> list[float]:
    received = [item for item in source.clips(Flag()) if not isinstance(item, Doubtful)]
    return [round(float(item.waveform[0]), 2) if isinstance(item, AudioClip) else -1.0 for item in received]


def found(path: Path) -> list[tuple[str, str]]:
    """The kinds of items, doubts left out, and the files that they name."""
    items: list[SourceItem] = list(RecordingSource(path).clips(Flag()))
    named = [
        (i.origin or "") if isinstance(i, AudioClip) else i.what
        for i in items
        if isinstance(i, AudioClip | UnreadableClip)
    ]
    kinds = [type(i).__name__ for i in items if isinstance(i, AudioClip | UnreadableClip)]
    return [(kind, Path(name).name) for kind, name in zip(kinds, named, strict=True)]


def tone(path: Path, seconds: float, *, gain: float = 0.25, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, gain * np.sin(np.arange(int(seconds * rate_hz)) / 3), rate_hz, subtype=subtype)


def blocks(waveform: npt.NDArray[np.float32], rate_hz: int) -> Iterator[npt.NDArray[np.float32]]:
    """One channel in blocks of ten seconds, as a recording gives them."""
    for at in range(0, waveform.size, 10 * rate_hz):
        yield waveform[at : at + 10 * rate_hz, None]


@given(samples=st.integers(1, 5_000), rate_hz=st.integers(10, 120))
def test_clips_are_all_ten_seconds_and_only_a_short_end_is_dropped(samples: int, rate_hz: int) -> None:
    waveform = np.arange(samples, dtype=np.float32)
    clips = list(whole_clips(blocks(waveform, rate_hz), rate_hz))
    assert clips
    assert {clip.shape for clip in clips} == {(10 * rate_hz, 1)}
    joined = np.concatenate(clips)[:, 0]
    kept = min(samples, joined.size)
    np.testing.assert_array_equal(joined[:kept], waveform[:kept])
    assert samples - kept < rate_hz


def test_a_short_recording_loops_to_a_whole_clip() -> None:
    (clip,) = whole_clips([np.array([[1, 4], [2, 5], [3, 6]], dtype=np.float32)], 1)
    assert clip[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
    assert clip[:, 1].tolist() == [4, 5, 6, 4, 5, 6, 4, 5, 6, 4]


def test_recordings_of_all_folders_and_kinds_come_in_order_of_name(tmp_path: Path) -> None:
    record(tmp_path / "b" / "two.flac", 10, 0.5)
    record(tmp_path / "a" / "one.WAV", 20, 0.25, channels=2)
    record(tmp_path / "c.ogg", 10, 0.0)
    (tmp_path / "notes.txt").write_text("not sound")
    assert values(RecordingSource(tmp_path)) == [0.25, 0.25, 0.5, 0.0]


def test_an_unreadable_recording_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 10)
    (tmp_path / "b.wav").write_bytes(b"RIFF nonsense")
    record(tmp_path / "c.wav", 0)
    record(tmp_path / "d.wav", 10)
    items = list(RecordingSource(tmp_path).clips(Flag()))
    kinds = [type(item) for item in items if not isinstance(item, Doubtful)]
    assert kinds == [AudioClip, UnreadableClip, UnreadableClip, AudioClip]


def test_shards_divide_the_recordings_without_overlap(tmp_path: Path) -> None:
    for i in range(7):
        record(tmp_path / f"{i}.wav", 1, i / 10)
    received = [value for shard in range(3) for value in values(RecordingSource(tmp_path, shard, 3))]
    assert sorted(received) == [i / 10 for i in range(7)]


def test_a_loop_begins_again_and_stops_on_request(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 1)
    stop = Flag()
    source = RecordingSource(tmp_path, loop=True).clips(stop)
    kinds = [type(next(source)) for _ in range(4)]
    assert kinds == [Doubtful, AudioClip, AudioClip, AudioClip]
    stop.set()
    assert list(source) == []


def test_a_loop_over_nothing_readable_ends(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    assert len(list(RecordingSource(tmp_path, loop=True).clips(Flag()))) == 1


def test_a_missing_folder_and_an_empty_one_are_distinguished(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"source\.path"):
        RecordingSource(tmp_path / "nowhere")
    with pytest.raises(InvalidError, match="no recordings"):
        RecordingSource(tmp_path)


def test_only_one_clip_of_an_hour_of_stereo_is_in_memory(tmp_path: Path) -> None:
    size = 3_600 * 48_000 * 4
    head = (
        b"RIFF"
        + struct.pack("<I", size + 36)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 192_000, 4, 16)
    )
    with (tmp_path / "hour.wav").open("wb") as file:
        file.write(head + b"data" + struct.pack("<I", size))
        file.truncate(len(head) + 8 + size)
    script = (
        "import sys; from pathlib import Path; from threading import Event\n"
        "from edge.sources import AudioClip; from edge.sources.files import RecordingSource\n"
        "from edge.encode import encode; from shared.backbones.benchmark import peak_mb\n"
        "from datetime import UTC, datetime; from shared.events import EventId\n"
        "idle = peak_mb(); source = RecordingSource(Path(sys.argv[1])); clips = 0\n"
        "for item in source.clips(Event()):\n"
        "    if isinstance(item, AudioClip):\n"
        "        if clips < 3: encode(item, EventId('demo', 's', 'b', clips), captured_at=datetime.now(UTC))\n"
        "        clips += 1\n"
        "        if clips == 30: break\n"
        "print(clips, peak_mb() - idle)"
    )
    ran = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    clips, above_idle_mb = ran.stdout.split()
    assert int(clips) == 30
    assert float(above_idle_mb) < 100


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 10)
    for number in range(5):
        (tmp_path / f"rec-{number}.MP3").write_bytes(b"x")
    for name in ("._a.wav", ".hidden.wav", "README"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".Trashes").mkdir()
    tone(tmp_path / ".Trashes" / "old.wav", 10)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    source = RecordingSource(tmp_path)
    assert source.description.startswith("1 of 1 recordings under ")
    for reported in (
        "5 .mp3 (rec-0.MP3, rec-1.MP3, rec-2.MP3, ...)",
        "2 hidden (.Trashes, .hidden.wav)",
        "1 companions of macOS (._a.wav)",
        "1 dead links (gone.wav)",
        "1 that are no files (pipe.wav)",
        "1 without a suffix (README)",
    ):
        assert reported in source.description
    (tmp_path / "a.wav").unlink()
    with pytest.raises(InvalidError, match=r"no recordings .* skipped: 5 \.mp3"):
        RecordingSource(tmp_path)


def test_linked_folders_are_followed_and_each_is_entered_once(tmp_path: Path) -> None:
    tone(tmp_path / "card" / "inner" / "b.wav", 10)
    tone(tmp_path / "clips" / "a.wav", 10)
    (tmp_path / "clips" / "usb").symlink_to(tmp_path / "card")
    (tmp_path / "clips" / "usb-again").symlink_to(tmp_path / "card")
    (tmp_path / "card" / "loop").symlink_to(tmp_path / "clips")
    (tmp_path / "clips" / "link.wav").symlink_to(tmp_path / "card" / "inner" / "b.wav")
    source = RecordingSource(tmp_path / "clips")
    assert [path.name for path in source.recordings] == ["a.wav", "link.wav", "b.wav"]
    assert "2 reached before (usb-again, usb/loop)" in source.description


def test_a_folder_that_is_a_link_is_a_folder(tmp_path: Path) -> None:
    tone(tmp_path / "card" / "a.wav", 10)
    (tmp_path / "clips").symlink_to(tmp_path / "card")
    assert len(RecordingSource(tmp_path / "clips").recordings) == 1


def test_names_of_any_bytes_are_taken_and_reported_in_one_line_of_text(tmp_path: Path) -> None:
    for name in (b"caf\xe9.wav", b"new\nline.wav", b"[red]x[-19.2+146.7].wav", "Br\u00fccke.wav".encode()):
        tone(tmp_path / "a.wav", 1)
        (tmp_path / "a.wav").rename(tmp_path / os.fsdecode(name))
    reported = [name for _, name in found(tmp_path)]
    assert sorted(reported) == sorted(
        [
            "[red]x[-19.2+146.7].wav from 0 s",
            "Br\u00fccke.wav from 0 s",
            "caf\\xe9.wav from 0 s",
            "new\\nline.wav from 0 s",
        ]
    )


def test_a_clip_that_is_no_sound_is_skipped_by_name_and_the_rest_of_its_file_is_read(tmp_path: Path) -> None:
    wave = np.sin(np.arange(30 * RATE_HZ) / 3) / 4
    wave[12 * RATE_HZ] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, RATE_HZ, subtype="FLOAT")
    assert found(tmp_path) == [
        ("AudioClip", "nan.wav from 0 s"),
        ("UnreadableClip", "nan.wav from 10 s"),
        ("AudioClip", "nan.wav from 20 s"),
    ]


def test_floats_in_the_range_of_integers_are_refused_by_name(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 25, gain=32_767, subtype="FLOAT")
    tone(tmp_path / "b.wav", 10, gain=2, subtype="FLOAT")
    refused, doubt, sound = RecordingSource(tmp_path).clips(Flag())
    assert isinstance(refused, UnreadableClip)
    assert Path(refused.what).name == "a.wav"
    assert "Divide them by 32768" in refused.reason
    assert isinstance(doubt, Doubtful)
    assert "samples reach +6 dB" in doubt.reason
    assert isinstance(sound, AudioClip)


@pytest.mark.parametrize(("rate_hz", "sent_hz"), [(97_656, 97_650), (500_000, 384_000), (65_536, 65_530)])
def test_a_rate_that_cannot_be_sent_is_reported(tmp_path: Path, rate_hz: int, sent_hz: int) -> None:
    tone(tmp_path / "a.wav", 10, rate_hz=rate_hz)
    doubt, sound = RecordingSource(tmp_path).clips(Flag())
    assert isinstance(doubt, Doubtful)
    assert f"{rate_hz} Hz cannot be sent" in doubt.reason
    assert f"to {sent_hz} Hz" in doubt.reason
    assert isinstance(sound, AudioClip)
    assert sound.rate_hz == rate_hz


def test_a_doubt_is_reported_once_for_each_recording(tmp_path: Path) -> None:
    left = np.sin(np.arange(40 * RATE_HZ) / 3) / 4
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.stack([left, 0 * left], axis=1), RATE_HZ)
    items = list(RecordingSource(tmp_path).clips(Flag()))
    doubts = [item for item in items if isinstance(item, Doubtful)]
    assert [Path(doubt.what).name for doubt in doubts] == ["a.wav", "b.wav"]
    assert {doubt.reason.partition(":")[0] for doubt in doubts} == {"channel 2 is dead"}
    assert len(items) == 2 + 8
