"""Labelled clips of 10 s for the retrieval model: the teacher's classes, mapped to the eight categories.

They train a retrieval network on sounds, not on a street. Training on real sensors starts from that network.

| clips | sound | categories | finer labels |
|---|---|---|---|
| `labelled` | mixtures of the bank | the teacher's, 0 or 1 | the teacher's scores |
| `empty` | coloured noise | none | the teacher's scores |
| `scenes` | synthetic streets | what sounds in them | the teacher's scores |

Half of all clips are quieter than they were made, by up to `QUIETEST_DB`: noise at -65 dBFS is no event.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.training.dataset import Dataset, joined
from hub.training.distillation.mixer import Mixer, Mixture
from hub.training.distillation.mixtures import SOURCES
from hub.training.distillation.teacher import Teacher, probabilities
from shared.errors import InvalidError
from shared.feature_space import Features, FeatureSpace
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES

PRESENT: Final = 0.3
"""Score from which a category counts as present: YAMNet gives masked sounds low scores."""
SOUGHT: Final = 0.7
"""Share of sources that are drawn for one of the eight categories, each as often."""
AT_ONCE: Final = 100
QUIET_ODDS: Final = 0.5
QUIETEST_DB: Final = -40.0
"""Lowest gain of a quiet clip."""

Embed = Callable[[npt.NDArray[np.float32]], Features]


class Labeller:
    """Labels clips by a teacher.

    Args:
        space: the student's feature space.
        teacher: tags the clips.
        embed: features uint8 [n, 128] of log-mel patches float32 [n, 96, 64].
    """

    def __init__(self, space: FeatureSpace, teacher: Teacher, embed: Embed) -> None:
        self.space: Final = space
        self.teacher: Final = teacher
        self._embed = embed

    def __call__(self, clips: Mixture, labels: npt.NDArray[np.uint8] | None = None) -> Dataset:
        """Return the clips as a data set, with the teacher's scores as soft finer labels.

        Args:
            clips: ten frames of each of n clips.
            labels: uint8 [n, 8] of 0 and 1, if known; None: labels by the teacher.
        """
        odds = self.teacher.predict(clips.frames)[1]
        features = self._embed(clips.patches).reshape(-1, *self.space.shape)
        count = (len(features), self.space.frames, -1)
        if labels is None:
            labels = (self.teacher.categories(odds).reshape(count).max(axis=1) > PRESENT).astype(np.uint8)
        fine = probabilities(odds).reshape(count).max(axis=1).astype(np.float16)
        return Dataset(self.space, features, labels, np.full(len(features), ""), fine)


def label_mixtures(
    mixer: Mixer,
    drawn: npt.NDArray[np.float64],
    odds: npt.NDArray[np.floating],
    label: Labeller,
    count: int,
    seed: int,
) -> Dataset:
    """Mix clips and let the teacher label them.

    Args:
        mixer: makes them.
        drawn: float64 [moments], how likely each is drawn.
        odds: float [moments, classes], the teacher's log-odds.
        label: labels the mixtures.
        count: clips, a multiple of 100.
        seed: of the mixing.

    Raises:
        InvalidError: another number of clips.
    """
    if count < AT_ONCE or count % AT_ONCE:
        raise InvalidError(f"labelled mixtures are made {AT_ONCE} at a time, not {count}")
    rng = np.random.default_rng(seed)
    chances = _chances(drawn, label.teacher.categories(odds))
    made = []
    for _ in range(count // AT_ONCE):
        sought = rng.integers(len(chances), size=(AT_ONCE, SOURCES))
        sought[rng.random(sought.shape) > SOUGHT] = len(CATEGORIES)
        chosen = np.empty(sought.shape, np.int64)
        for row, likely in enumerate(chances):
            wanted = sought == row
            chosen[wanted] = rng.choice(len(drawn), size=int(wanted.sum()), p=likely)
        made.append(label(mixer.mix(chosen, rng, label.space.frames, _gains(AT_ONCE, rng))))
    return joined(made)


def empty(mixer: Mixer, label: Labeller, count: int, seed: int) -> Dataset:
    """Coloured noise without an event."""
    rng = np.random.default_rng([seed, 1])
    clips = mixer.background(count, rng, label.space.frames, _gains(count, rng))
    return label(clips, np.zeros((count, len(CATEGORIES)), np.uint8))


def scenes(mixer: Mixer, label: Labeller, count: int, seed: int) -> Dataset:
    """Synthetic streets, labelled with what sounds in them; count is at least 1."""
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, 2, number])
        scene = make_scene(rng, mixer.rate_hz)
        sound = scene.waveform * np.float32(10.0 ** (_gains(1, rng)[0] / 20.0))
        truth = np.array([[name in scene.labels for name in CATEGORIES]], np.uint8)
        made.append(label(mixer.of_sound(sound), truth))
    return joined(made)


def _gains(n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Gains in dB, float64 [n]: half of them 0."""
    return np.where(rng.random(n) < QUIET_ODDS, rng.uniform(QUIETEST_DB, 0.0, n), 0.0)


def _chances(drawn: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the probability of each moment to be drawn: float64 [9, moments], per category and for any sound."""
    rows = [np.where(scores[:, c] > PRESENT, drawn * scores[:, c], 0.0) for c in range(scores.shape[1])]
    rows = [row / row.sum() if row.any() else drawn for row in rows]
    return np.stack([*rows, drawn])
