"""Mixtures without end."""

import numpy as np

from hub.training.distil.bank import OFFSET, SILENCE, Bank
from hub.training.distil.mixtures import LOUDEST, SOURCES, mix


def chosen(bank: Bank, count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(len(bank.starts), size=(count, SOURCES))


def test_mixtures_are_patches_in_the_teachers_range(bank: Bank) -> None:
    mixed = mix(bank, chosen(bank, 50), np.random.default_rng(1))
    assert mixed.shape == (50, 96, 64)
    assert mixed.dtype == np.float32
    assert mixed.min() >= np.float32(np.log(OFFSET)) - 1e-3
    assert mixed.max() <= LOUDEST
    assert mix(bank, chosen(bank, 2), np.random.default_rng(1), frames=960).shape == (2, 960, 64)


def test_the_same_draws_mix_the_same_and_others_differ(bank: Bank) -> None:
    rows = chosen(bank, 8)
    first, same, other = (mix(bank, rows, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).mean() > 0.1


def test_the_same_moments_are_never_heard_the_same_way_twice(bank: Bank) -> None:
    rows = np.repeat(chosen(bank, 1), 40, axis=0)
    mixed = mix(bank, rows, np.random.default_rng(0))
    levels = mixed.mean(axis=(1, 2))
    assert levels.std() > 0.3
    assert len(np.unique(levels)) == 40


def test_what_is_mixed_from_silence_is_faint_or_a_bed_of_noise(bank: Bank) -> None:
    silent = Bank(np.full((200, 64), SILENCE, np.float16), np.arange(80), np.zeros(80, np.int64), ("silence",))
    quiet = mix(silent, np.zeros((200, SOURCES), np.int64), np.random.default_rng(0)).mean(axis=(1, 2))
    heard = mix(bank, chosen(bank, 200), np.random.default_rng(0)).mean(axis=(1, 2))
    assert 0.25 < (quiet < SILENCE + 3.0).mean() < 0.6, "four of ten have no bed"
    assert quiet.mean() < heard.mean() - 0.5
