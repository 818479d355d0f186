"""The synthetic street."""

import numpy as np
import pytest

from shared.errors import InvalidError
from shared.synthetic_scene import SoundCast, make_scene, mix_scene, render_source
from shared.synthetic_sounds import GENERATORS
from shared.synthetic_waveforms import Signal
from shared.taxonomy import CATEGORIES


def test_an_equal_generator_gives_an_equal_scene() -> None:
    one, two = (make_scene(np.random.default_rng(7), 8_000, 2.0) for _ in range(2))
    assert one.labels == two.labels
    np.testing.assert_array_equal(one.waveform, two.waveform)


def test_scenes_are_finite_and_never_clip() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        scene = make_scene(rng, 16_000, 2.0)
        assert scene.waveform.dtype == np.float32
        assert scene.waveform.shape == (32_000,)
        assert np.isfinite(scene.waveform).all()
        assert 0.0 < np.abs(scene.waveform).max() <= 1.0


def test_scenes_hold_none_to_three_categories_and_every_category_turns_up() -> None:
    rng = np.random.default_rng(1)
    drawn = [make_scene(rng, 8_000, 1.0).labels for _ in range(80)]
    assert {len(labels) for labels in drawn} == {0, 1, 2, 3}
    assert frozenset().union(*drawn) == frozenset(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_makes_a_sound_at_every_rate(category: str) -> None:
    for rate_hz in (8_000, 22_050, 48_000):
        for seed in range(4):
            sound = render_source(category, seed, np.random.default_rng(seed), rate_hz, 10.0)
            assert sound.shape == (10 * rate_hz,)
            assert np.isfinite(sound).all()
            assert np.square(sound).mean() > 0.0


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_is_audible_above_the_background(category: str) -> None:
    quiet = mix_scene([], np.random.default_rng(3), 16_000, 10.0)
    loud = mix_scene([category], np.random.default_rng(3), 16_000, 10.0)
    assert np.square(loud.waveform).mean() > 1.2 * np.square(quiet.waveform).mean()


def _spectrum(sound: Signal) -> Signal:
    power = np.abs(np.fft.rfft(sound)) ** 2
    bands = np.add.reduceat(power, np.geomspace(20, power.size - 1, 40).astype(int))
    return np.asarray(np.log(bands / bands.sum() + 1e-9))


@pytest.mark.parametrize("category", ["machinery-impact", "engine", "dog"])
def test_one_character_resembles_itself_more_than_others(category: str) -> None:
    spectra = np.asarray(
        [
            [_spectrum(render_source(category, who, np.random.default_rng(take), 16_000, 10.0)) for take in range(2)]
            for who in range(6)
        ]
    )
    distances = np.linalg.norm(spectra[:, None, 0] - spectra[None, :, 1], axis=-1)
    assert (distances.argmin(axis=1) == np.arange(6)).mean() > 0.6


def test_a_cast_is_shared_by_all_who_know_its_seed() -> None:
    assert SoundCast.drawn(5) == SoundCast.drawn(5)
    assert SoundCast.drawn(5) != SoundCast.drawn(6)
    assert set(SoundCast.drawn(5).characters) == set(GENERATORS) == set(CATEGORIES)


def test_a_scene_of_a_cast_uses_only_its_characters() -> None:
    cast = SoundCast.drawn(2, per_category=1)
    rng = np.random.default_rng(0)
    assert {cast.character("dog", rng) for _ in range(5)} == set(cast.characters["dog"])
    assert make_scene(rng, 8_000, 1.0, cast).waveform.shape == (8_000,)


def test_unknown_categories_and_impossible_lengths_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidError, match="unknown"):
        mix_scene(["whale"], rng, 8_000, 1.0)
    with pytest.raises(InvalidError, match="unknown"):
        render_source("whale", 0, rng, 8_000, 1.0)
    with pytest.raises(InvalidError, match="want"):
        make_scene(rng, 8_000, 0.0)
