"""Recordings to mix from."""

from pathlib import Path

import numpy as np
import soundfile

from hub.audio.vggish import PATCH
from hub.training.distil.bank import STEP, WINDOW, Bank, frames_of, gather, recordings, weights


def test_recordings_of_every_format_are_read_and_what_is_of_no_use_is_left_out(sounds: Path, bank: Bank) -> None:
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


def test_a_bank_is_loaded_as_it_was_saved(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.npz")
    back = Bank.load(tmp_path / "bank.npz")
    assert back.origins == bank.origins
    which = np.arange(len(bank.starts))[::7]
    np.testing.assert_array_equal(back.patches(which), bank.patches(which))
    assert bank.patches(which).shape == (len(which), PATCH, 64)


def test_the_same_seed_gathers_the_same_and_tells_of_each_folder(sounds: Path, bank: Bank) -> None:
    told: list[str] = []
    folders = [(name, recordings(sounds / name)) for name in ("street", "yard")]
    again = gather(folders, scenes=2, seed=0, tick=told.append)
    assert told == ["street", "yard", "scenes"]
    np.testing.assert_array_equal(again.frames, bank.frames)


def test_seldom_sounds_of_small_packages_are_drawn_more_often() -> None:
    starts = np.arange(100)
    few = Bank(np.zeros((300, 64), np.float16), starts, (starts >= 90).astype(np.int64), ("large", "small"))
    classes = np.where(starts % 10 == 0, 7, 3)
    drawn = weights(few, classes)
    assert abs(drawn.sum() - 1) < 1e-12
    assert drawn[10] > drawn[11], "a seldom class"
    assert drawn[95] > drawn[11], "a small package"
