"""A synthetic street: random mixtures of the eight categories over traffic-like noise, for demo and training.

1. A *character* is an integer seed that identifies a source (this jackhammer, that dog).
2. A generator renders a performance of a character: it draws the parameters from the character and the timing from
   `rng`.
3. `make_scene` mixes up to three performances over a background at random levels.
4. A `SoundCast` is a small pool of characters, so that the same sources recur at every sensor.

All functions are pure functions of their generator. A waveform is float32 [samples], full scale = 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.synthetic_sounds import GENERATORS, background
from shared.synthetic_waveforms import (
    Random,
    Signal,
    scaled_to,
)
from shared.taxonomy import CATEGORIES

SOURCES_ODDS: Final = (0.12, 0.38, 0.32, 0.18)
"""Probabilities that a scene contains 0, 1, 2 or 3 categories."""
BACKGROUND_DBFS: Final = (-52.0, -34.0)
"""Range of the background's RMS level, dB re full scale."""
ABOVE_BACKGROUND_DB: Final = (6.0, 24.0)
"""Range of a source's level over the background while it sounds, dB."""
CEILING: Final = 0.97
"""Peak to which a mixture that would clip is scaled down."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One mixture and its labels.

    Attributes:
        waveform: float32 [samples], in [-1, 1].
        labels: names of the categories in it.
    """

    waveform: Waveform
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class SoundCast:
    """The recurring sources of a neighbourhood: the characters of each category."""

    characters: Mapping[str, tuple[int, ...]]

    @classmethod
    def drawn(cls, seed: int, per_category: int = 2) -> "SoundCast":
        """Draw a cast; the same seed gives the same neighbourhood to every sensor.

        Args:
            seed: any integer from 0.
            per_category: number of characters of each category, from 1.
        """
        rng = np.random.default_rng(seed)
        drawn = rng.integers(2**32, size=(len(CATEGORIES), per_category))
        return cls({name: tuple(map(int, row)) for name, row in zip(CATEGORIES, drawn, strict=True)})

    def character(self, category: str, rng: Random) -> int:
        """Pick one of the category's characters."""
        return int(rng.choice(np.asarray(self.characters[category])))


def make_scene(rng: Random, rate_hz: int, duration_s: float = 10.0, cast: SoundCast | None = None) -> Scene:
    """Make one scene of 0 to 3 categories.

    Args:
        rng: random generator; an equal generator gives an equal scene.
        rate_hz: sample rate in Hz, from 8,000.
        duration_s: length in seconds, in (0, 60].
        cast: recurring sources; None draws new ones every time.

    Raises:
        InvalidError: a rate or duration outside its range.
    """
    count = int(rng.choice(len(SOURCES_ODDS), p=SOURCES_ODDS))
    labels = [CATEGORIES[i] for i in rng.choice(len(CATEGORIES), size=count, replace=False)]
    return mix_scene(labels, rng, rate_hz, duration_s, cast)


def mix_scene(
    labels: list[str], rng: Random, rate_hz: int, duration_s: float = 10.0, cast: SoundCast | None = None
) -> Scene:
    """Mix one performance of each named category over a background; see `make_scene`.

    Raises:
        InvalidError: an unknown category, or a rate or duration outside its range.
    """
    if rate_hz < 8_000 or not 0.0 < duration_s <= 60.0:
        raise InvalidError(f"a scene of {duration_s} s at {rate_hz} Hz: want (0, 60] s from 8000 Hz up")
    if unknown := set(labels) - set(GENERATORS):
        raise InvalidError(f"unknown categories {sorted(unknown)}; known: {', '.join(CATEGORIES)}")
    level_db = rng.uniform(*BACKGROUND_DBFS)
    mixture = scaled_to(background(rng, rate_hz, duration_s), level_db)
    for name in labels:
        character = cast.character(name, rng) if cast else int(rng.integers(2**32))
        sound = render_source(name, character, rng, rate_hz, duration_s)
        mixture += scaled_to(sound, min(level_db + rng.uniform(*ABOVE_BACKGROUND_DB), -9.0))
    peak = float(np.abs(mixture).max())
    if peak > CEILING:
        mixture *= CEILING / peak
    return Scene(mixture.astype(np.float32), frozenset(labels))


def render_source(category: str, character: int, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Return a performance of one character: float64 [samples], of any level.

    Raises:
        InvalidError: an unknown category.
    """
    if category not in GENERATORS:
        raise InvalidError(f"unknown category {category!r}; known: {', '.join(CATEGORIES)}")
    return GENERATORS[category](np.random.default_rng(character), rng, rate_hz, duration_s)
