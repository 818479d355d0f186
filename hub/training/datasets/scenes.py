"""Synthetic street scenes as training data."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from hub.training.dataset import Dataset, assembled
from shared.extractor import Extractor
from shared.scene import make_scene
from shared.space import Features
from shared.taxonomy import CATEGORIES

SCENE_RATES_HZ: Final = (22_050, 22_050, 22_050, 48_000)
"""Sample rates that synthetic scenes are made at, in turn."""

Tick = Callable[[], None]


def synthesise(count: int, seed: int, extractor: Extractor, tick: Tick) -> Dataset:
    """Synthetic street scenes, no two alike; the same seed gives the same scenes.

    Args:
        count: number of scenes.
        seed: from 0.
        extractor: computes the features.
        tick: told after each scene.
    """

    def one(number: int) -> tuple[Features, list[int]]:
        rate_hz = SCENE_RATES_HZ[number % len(SCENE_RATES_HZ)]
        scene = make_scene(np.random.default_rng([seed, number]), rate_hz)
        tick()
        return extractor.extract(scene.waveform, rate_hz), [int(name in scene.labels) for name in CATEGORIES]

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(one, range(count)))
    return assembled(extractor.space, [m[0] for m in made], [m[1] for m in made], [""] * count)
