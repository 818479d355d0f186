"""Labelled mixtures: clips of 10 s that the teacher tags, mapped to the eight categories, for the retrieval model.

They teach a retrieval network sounds, not a street: what it then learns of real sensors starts from there.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.audio.vggish import BANDS, PATCH
from hub.training.dataset import Dataset, assembled
from hub.training.datasets.categories import AUDIOSET_CATEGORIES
from hub.training.distil.bank import Bank
from hub.training.distil.mixtures import SOURCES, mix
from hub.training.distil.teacher import Teacher, class_names
from shared.errors import Invalid
from shared.space import SMALL, Features
from shared.taxonomy import CATEGORIES

PRESENT: Final = 0.3
"""Score from which a category counts as present: YAMNet says little of what lies under something else."""
SOUGHT: Final = 0.7
"""Share of sources that are drawn for one of the eight categories, each as often."""
AT_ONCE: Final = 100

Embed = Callable[[npt.NDArray[np.float32]], Features]


def labelled(
    bank: Bank,
    drawn: npt.NDArray[np.float64],
    odds: npt.NDArray[np.floating],
    teacher: Teacher,
    embed: Embed,
    count: int,
    seed: int,
) -> Dataset:
    """Mix clips and let the teacher label them.

    Args:
        bank: the recordings.
        drawn: float64 [moments], how likely each is drawn.
        odds: float [moments, 521], what the teacher says of each, in log-odds.
        teacher: tags the mixtures.
        embed: features uint8 [n, 128] of log-mel patches float32 [n, 96, 64].
        count: clips, a multiple of 100.
        seed: of the mixing.

    Raises:
        Invalid: another number of clips.
    """
    if count < AT_ONCE or count % AT_ONCE:
        raise Invalid(f"labelled mixtures are made {AT_ONCE} at a time, not {count}")
    rng = np.random.default_rng(seed)
    chances = _chances(drawn, categories(odds))
    frames = SMALL.frames * PATCH
    features, labels = [], []
    for _ in range(count // AT_ONCE):
        sought = rng.integers(len(chances), size=(AT_ONCE, SOURCES))
        sought[rng.random(sought.shape) > SOUGHT] = len(CATEGORIES)
        chosen = np.empty(sought.shape, np.int64)
        for row, probabilities in enumerate(chances):
            wanted = sought == row
            chosen[wanted] = rng.choice(len(drawn), size=int(wanted.sum()), p=probabilities)
        patches = mix(bank, chosen, rng, frames).reshape(-1, PATCH, BANDS)
        features.append(embed(patches).reshape(-1, *SMALL.shape))
        said = categories(teacher.hear(patches)[1]).reshape(AT_ONCE, SMALL.frames, -1)
        labels.append((said.max(axis=1) > PRESENT).astype(np.uint8))
    clips, tags = np.concatenate(features), np.concatenate(labels)
    return assembled(SMALL, list(clips), tags.tolist(), [""] * len(clips))


def categories(odds: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Scores of the eight categories, float32 [n, 8]: of each the highest of its classes, from log-odds [n, 521]."""
    names = {name: column for column, name in enumerate(class_names())}
    scores = 0.5 * (1.0 + np.tanh(0.5 * odds.astype(np.float32)))
    columns = [[names[label] for label in AUDIOSET_CATEGORIES[category] if label in names] for category in CATEGORIES]
    return np.stack([scores[:, of].max(axis=1) for of in columns], axis=1).astype(np.float32)


def _chances(drawn: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How likely each moment is drawn: float64 [9, moments], for each category and for any sound."""
    rows = [np.where(scores[:, c] > PRESENT, drawn * scores[:, c], 0.0) for c in range(scores.shape[1])]
    rows = [row / row.sum() if row.any() else drawn for row in rows]
    return np.stack([*rows, drawn])
