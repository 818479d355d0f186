"""Recordings to mix from."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hub.features.vggish.extractor import PATCH
from hub.training.distillation import spectrogram_bank as made
from hub.training.distillation.spectrogram_bank import (
    LONGEST_S,
    SILENCE,
    STEP,
    WINDOW,
    SpectrogramBank,
    frames_of,
    gather,
    recordings,
    weights,
)


def test_recordings_of_every_format_are_read_and_what_is_of_no_use_is_left_out(
    sounds: Path, bank: SpectrogramBank
) -> None:
    assert {path.suffix for path in recordings(sounds)} == {".wav", ".flac", ".ogg"}
    assert all(frames_of(sounds / "yard" / name) is None for name in ("silent.wav", "click.wav", "broken.wav"))
    assert bank.origins == ("street", "yard", "scenes")
    moments = np.bincount(bank.origin)
    assert moments[1] == 2 * moments[0], "three recordings of a street, six of a yard"
    assert bank.frames.shape[1] == 64
    assert np.isfinite(bank.frames).all()


def test_no_moment_lies_across_two_recordings(sounds: Path) -> None:
    lengths = {path: frames_of(path) for path in recordings(sounds / "street")}
    alone = gather([("street", list(lengths))], scenes=0, seed=0, tick=lambda _: None)
    ends = np.cumsum([len(found) for found in lengths.values() if found is not None])
    assert len({*ends.tolist()}) == 3
    starts = alone.starts
    for end in ends:
        assert not ((starts < end) & (starts + WINDOW > end)).any()
    inside = np.diff(starts)
    assert set(inside[inside < WINDOW].tolist()) == {STEP}


def test_a_short_sound_is_followed_by_silence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "short.wav", rng.uniform(-1, 1, 8_000), 16_000)
    found = frames_of(tmp_path / "short.wav")
    assert found is not None
    assert len(found) >= WINDOW
    assert found[:40].mean() > found[-40:].mean() + 3


def test_loudness_of_a_recording_does_not_matter(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 32_000)
    for name, gain in (("loud", 0.9), ("faint", 0.01)):
        soundfile.write(tmp_path / f"{name}.wav", gain * noise, 16_000, subtype="FLOAT")
    loud, faint = (frames_of(tmp_path / f"{name}.wav") for name in ("loud", "faint"))
    assert loud is not None
    assert faint is not None
    np.testing.assert_allclose(loud, faint, atol=0.02)


def test_a_bank_is_loaded_as_it_was_saved(bank: SpectrogramBank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.npz")
    back = SpectrogramBank.load(tmp_path / "bank.npz")
    assert back.origins == bank.origins
    which = np.arange(len(bank.starts))[::7]
    np.testing.assert_array_equal(back.first(which), bank.first(which))
    assert bank.first(which).shape == (len(which), PATCH, 64)


def test_the_same_seed_gathers_the_same_and_reports_of_each_folder(sounds: Path, bank: SpectrogramBank) -> None:
    reported: list[str] = []
    folders = [(name, recordings(sounds / name)) for name in ("street", "yard")]
    again = gather(folders, scenes=2, seed=0, tick=reported.append)
    assert reported == ["street", "yard", "scenes"]
    np.testing.assert_array_equal(again.frames, bank.frames)


def test_rare_sounds_of_small_packages_are_drawn_more_often() -> None:
    starts = np.arange(100)
    few = SpectrogramBank(
        np.zeros((300, 64), np.float16), starts, (starts >= 90).astype(np.int64), ("large", "small")
    )
    classes = np.where(starts % 10 == 0, 7, 3)
    drawn = weights(few, classes)
    assert abs(drawn.sum() - 1) < 1e-12
    assert drawn[10] > drawn[11], "a rare class"
    assert drawn[95] > drawn[11], "a small package"


def noise(seconds: float, rate_hz: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * rate_hz))


def ignore(_name: str) -> None:
    """Progress without a display."""


def test_only_the_beginning_of_a_long_recording_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(LONGEST_S + 5, 8_000), 8_000)
    soundfile.write(tmp_path / "as-long.wav", noise(LONGEST_S, 8_000), 8_000)
    long, as_long = (frames_of(tmp_path / f"{name}.wav") for name in ("long", "as-long"))
    assert long is not None
    assert as_long is not None
    assert len(long) == pytest.approx(100 * LONGEST_S, abs=3)
    assert long.shape == as_long.shape


@pytest.mark.parametrize(("name", "rate_hz"), [("LOUD.WAV", 96_000), ("song.mp3", 48_000), ("bell.oga", 44_100)])
def test_a_recording_of_another_rate_has_as_many_frames_a_second(tmp_path: Path, name: str, rate_hz: int) -> None:
    kind = {".oga": "OGG", ".mp3": "MP3"}.get(Path(name).suffix, "WAV")
    stereo = np.stack([noise(2, rate_hz)] * 2, axis=1)
    soundfile.write(tmp_path / name, stereo, rate_hz, format=kind)
    (path,) = recordings(tmp_path)
    found = frames_of(path)
    assert found is not None
    assert found.dtype == np.float16
    assert len(found) == pytest.approx(200, abs=4)
    assert found.min() >= SILENCE - 0.01


@pytest.mark.parametrize(
    ("sound", "rate_hz"),
    [
        (noise(1, 500), 500),
        (noise(0.19, 16_000), 16_000),
        (np.zeros(0), 16_000),
        (9e-4 * np.ones(16_000), 16_000),
        (np.where(np.arange(16_000) == 9, np.nan, 0.1), 16_000),
        (np.where(np.arange(16_000) == 9, np.inf, 0.1), 16_000),
    ],
    ids=["rate", "short", "empty", "silent", "nan", "infinite"],
)
def test_a_recording_that_teaches_nothing_is_left_out(
    tmp_path: Path, sound: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rate_hz: int
) -> None:
    soundfile.write(tmp_path / "a.wav", sound, rate_hz, subtype="FLOAT")
    assert frames_of(tmp_path / "a.wav") is None


def test_a_recording_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert frames_of(tmp_path / "gone.wav") is None


def test_no_package_is_read_for_longer_than_its_share(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "MOST_S", 5.0)
    few = gather([("yard", recordings(sounds / "yard"))], scenes=0, seed=0, tick=ignore)
    # Four seconds each: after the second recording it is enough.
    assert 500 < len(few.frames) < 1000
    (tmp_path / "none").mkdir()
    both = [("none", recordings(tmp_path / "none")), ("yard", recordings(sounds / "yard"))]
    assert set(gather(both, scenes=0, seed=0, tick=ignore).origin.tolist()) == {1}, "an empty package is no harm"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60))
def test_every_moment_may_be_drawn_and_like_moments_as_often(moments: list[tuple[int, int]]) -> None:
    classes, origin = (np.array(column, dtype=np.int64) for column in zip(*moments, strict=True))
    some = SpectrogramBank(np.zeros((200, 64), np.float16), np.arange(len(moments)), origin, tuple("abcd"))
    drawn = weights(some, classes)
    assert drawn.sum() == pytest.approx(1.0)
    assert (drawn > 0.0).all()
    for alike in set(moments):
        chances = drawn[[moment == alike for moment in moments]]
        assert np.ptp(chances) < 1e-12
