"""Mixtures without end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.training.distillation import mixtures
from hub.training.distillation.mixtures import (
    EQUALISER_NEPER,
    LEVEL_NEPER,
    LOUDEST,
    SOURCES,
    _bed,
    _changed,
    _reverberated,
    _smooth,
    mix,
)
from hub.training.distillation.spectrogram_bank import OFFSET, SILENCE, WINDOW, SpectrogramBank


def chosen(bank: SpectrogramBank, count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(len(bank.starts), size=(count, SOURCES))


def test_mixtures_are_patches_in_the_teachers_range(bank: SpectrogramBank) -> None:
    mixed = mix(bank, chosen(bank, 50), np.random.default_rng(1))
    assert mixed.shape == (50, 96, 64)
    assert mixed.dtype == np.float32
    assert mixed.min() >= np.float32(np.log(OFFSET)) - 1e-3
    assert mixed.max() <= LOUDEST
    assert mix(bank, chosen(bank, 2), np.random.default_rng(1), frames=960).shape == (2, 960, 64)


def test_the_same_draws_mix_the_same_and_others_differ(bank: SpectrogramBank) -> None:
    rows = chosen(bank, 8)
    first, same, other = (mix(bank, rows, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).mean() > 0.1


def test_the_same_moments_are_never_embedded_the_same_way_twice(bank: SpectrogramBank) -> None:
    rows = np.repeat(chosen(bank, 1), 40, axis=0)
    mixed = mix(bank, rows, np.random.default_rng(0))
    levels = mixed.mean(axis=(1, 2))
    assert levels.std() > 0.3
    assert len(np.unique(levels)) == 40


def test_what_is_mixed_from_silence_is_faint_or_a_bed_of_noise(bank: SpectrogramBank) -> None:
    silent = SpectrogramBank(
        np.full((200, 64), SILENCE, np.float16), np.arange(80), np.zeros(80, np.int64), ("silence",)
    )
    quiet = mix(silent, np.zeros((200, SOURCES), np.int64), np.random.default_rng(0)).mean(axis=(1, 2))
    received = mix(bank, chosen(bank, 200), np.random.default_rng(0)).mean(axis=(1, 2))
    assert 0.25 < (quiet < SILENCE + 3.0).mean() < 0.6, "four of ten have no bed"
    assert quiet.mean() < received.mean() - 0.5


def test_an_equaliser_and_a_level_change_a_steady_sound_by_band_alone() -> None:
    flat = SpectrogramBank(
        np.full((WINDOW, 64), -2.0, np.float16), np.zeros(1, np.int64), np.zeros(1, np.int64), ("flat",)
    )
    changed = _changed(flat, np.zeros(3_000, np.int64), np.random.default_rng(0), 96) + 2.0
    assert np.ptp(changed, axis=1).max() < 1e-5, "the same all the time"
    level = changed.mean(axis=(1, 2))
    assert level.mean() == pytest.approx(0.0, abs=0.1)
    assert level.std() == pytest.approx(LEVEL_NEPER, rel=0.1)
    tone = changed[:, 0] - level[:, None]
    assert 0.4 * EQUALISER_NEPER < tone.std() < EQUALISER_NEPER
    assert np.abs(np.diff(tone, axis=1)).max() < 0.3, "neighbouring bands are changed alike"


def test_a_source_is_shifted_in_pitch_and_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixtures, "EQUALISER_NEPER", 0.0)
    monkeypatch.setattr(mixtures, "LEVEL_NEPER", 0.0)
    frames = np.full((WINDOW, 64), SILENCE, np.float16)
    frames[50:60, 30] = 0.0
    beep = SpectrogramBank(frames, np.zeros(1, np.int64), np.zeros(1, np.int64), ("beep",))
    received = _changed(beep, np.zeros(400, np.int64), np.random.default_rng(0), 96) > -1.0
    assert {int(band) for patch in received for band in np.flatnonzero(patch.any(axis=0))} == set(range(27, 34))
    lengths = received.any(axis=2).sum(axis=1)
    assert {int(length) for length in lengths} >= {9, 10, 11}
    assert 8 <= lengths.min() <= lengths.max() <= 13
    begins = received.any(axis=2).argmax(axis=1)
    assert np.ptp(begins) > 15, "it begins at any time"


def test_a_room_adds_a_tail_and_takes_nothing_away() -> None:
    clap = np.zeros((300, 96, 64), np.float32)
    clap[:, 10] = 1.0
    received = _reverberated(clap.copy(), np.random.default_rng(0))
    assert (received >= clap).all()
    np.testing.assert_array_equal(received[:, :11], clap[:, :11])
    tails = received[:, 11:, 0]
    echoing = tails.any(axis=1)
    assert echoing.mean() == pytest.approx(mixtures.REVERBERATION_ODDS, abs=0.1)
    assert (np.diff(tails[echoing], axis=1) < 0.0).all(), "it decays"
    assert 0.02 <= tails[echoing, 0].min() <= tails[echoing, 0].max() <= 0.3


def test_a_bed_is_noise_of_as_many_colours_as_there_are_mixtures() -> None:
    bed = _bed(20, np.random.default_rng(0), 96)
    assert bed.shape == (20, 96, 64)
    assert bed.dtype == np.float32
    assert (bed > 0.0).all()
    colours = np.log(bed.mean(axis=1))
    assert np.abs(colours[:, None] - colours[None]).max(axis=-1)[~np.eye(20, dtype=bool)].min() > 0.3
    assert (np.log(bed).std(axis=1) > 0.2).all(), "no band is steady"
    assert _bed(0, np.random.default_rng(0), 96).shape == (0, 96, 64)


def test_a_long_clip_from_the_end_of_a_bank_stays_within_it(bank: SpectrogramBank) -> None:
    last = np.full((6, SOURCES), len(bank.starts) - 1)
    mixed = mix(bank, last, np.random.default_rng(0), frames=960)
    assert mixed.shape == (6, 960, 64)
    assert np.isfinite(mixed).all()


def test_the_bank_and_the_choice_are_left_as_they_were(bank: SpectrogramBank) -> None:
    frames, rows = bank.frames.copy(), chosen(bank, 20)
    before = rows.copy()
    mix(bank, rows, np.random.default_rng(0))
    np.testing.assert_array_equal(bank.frames, frames)
    np.testing.assert_array_equal(rows, before)


def test_the_loudest_sound_is_capped() -> None:
    loud = SpectrogramBank(
        np.full((WINDOW, 64), 9.0, np.float16), np.zeros(1, np.int64), np.zeros(1, np.int64), ("loud",)
    )
    mixed = mix(loud, np.zeros((50, SOURCES), np.int64), np.random.default_rng(0))
    assert mixed.max() == LOUDEST


@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=8), st.integers(2, 100))
def test_a_smooth_line_goes_from_the_first_point_to_the_last_and_stays_between(points: list[float], to: int) -> None:
    (line,) = _smooth(np.array([points]), to)
    assert line.shape == (to,)
    assert line[[0, -1]] == pytest.approx([points[0], points[-1]], abs=1e-9)
    assert min(points) - 1e-9 <= line.min() <= line.max() <= max(points) + 1e-9
