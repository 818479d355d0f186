"""Further training data of a feature space: versions of recordings, and quiet streets.

Only `earwitness-small` has it: its network learns the street from some hundred recordings of a dozen microphones.
"""

from typing import Final

from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader
from hub.training.datasets.augmentation import Versions
from hub.training.datasets.feature_cache import NO_VERSIONS
from hub.training.datasets.synthetic import quiet_streets
from shared.feature_space import EARWITNESS_SMALL

VERSIONS: Final = {EARWITNESS_SMALL.id: Versions(8)}
QUIET: Final = {EARWITNESS_SMALL.id: 32}
"""Quiet streets without an event."""


def versions_of(space_id: str) -> Versions:
    """Versions of each recording that a feature space's networks learn from."""
    return VERSIONS.get(space_id, NO_VERSIONS)


def quiet(reader: DatasetReader) -> list[Dataset]:
    """Quiet streets in a reader's feature space, as a list of one data set or none."""
    count = QUIET.get(reader.space, 0)
    return [quiet_streets(count, 0, reader.feature_cache().extractor)] if count else []
