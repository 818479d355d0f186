"""Synthetic street scenes as training data, and quiet streets without an event."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from hub.training.dataset import Dataset, assembled
from shared.events import CLIP_S
from shared.extractor import FeatureExtractor
from shared.feature_space import Features
from shared.synthetic_scene import make_scene
from shared.synthetic_sounds import background
from shared.taxonomy import CATEGORIES, COUNT

SCENE_RATES_HZ: Final = (22_050, 22_050, 22_050, 48_000)
"""Sample rates that synthetic scenes are made at, in turn."""

QUIET_DBFS: Final = (-80.0, -45.0)
"""Range of a quiet street's level: from a microphone's own noise to a side street at night."""
NOISE_DBFS: Final = (-90.0, -70.0)
"""Range of the level of the microphone's own noise, which is white."""
_QUIET_HZ: Final = 16_000

Tick = Callable[[], None]


def synthesise(count: int, seed: int, extractor: FeatureExtractor, tick: Tick) -> Dataset:
    """Synthetic street scenes, no two alike; the same seed gives the same scenes.

    Args:
        count: number of scenes.
        seed: from 0.
        extractor: computes the features.
        tick: called after each scene.
    """

    def one(number: int) -> tuple[Features, list[int]]:
        rate_hz = SCENE_RATES_HZ[number % len(SCENE_RATES_HZ)]
        scene = make_scene(np.random.default_rng([seed, number]), rate_hz)
        tick()
        return extractor.extract(scene.waveform, rate_hz), [int(name in scene.labels) for name in CATEGORIES]

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(one, range(count)))
    return assembled(extractor.space, [m[0] for m in made], [m[1] for m in made], [""] * count)


def quiet_streets(count: int, seed: int, extractor: FeatureExtractor) -> Dataset:
    """Quiet streets in which nothing happens; the same seed gives the same.

    Networks trained on few recordings detect events in anything quieter than these: no training clip showed that
    it is none.

    Args:
        count: number of clips.
        seed: from 0.
        extractor: computes the features.
    """
    features = []
    for number in range(count):
        rng = np.random.default_rng([seed, 3, number])
        street = background(rng, _QUIET_HZ, CLIP_S)
        level, noise = (10.0 ** (rng.uniform(*of) / 20.0) for of in (QUIET_DBFS, NOISE_DBFS))
        street = street * level / np.sqrt(np.square(street).mean()) + rng.normal(0.0, noise, street.size)
        features.append(extractor.extract(street.astype(np.float32), _QUIET_HZ))
    return assembled(extractor.space, features, [[0] * COUNT] * count, [""] * count)
