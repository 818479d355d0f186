"""ESC-10: one directory per class."""

from pathlib import Path
from typing import Final

from hub.training.dataset import Dataset, assembled
from hub.training.datasets.feature_cache import FeatureCache
from shared.audio import SUFFIXES
from shared.errors import InvalidError
from shared.taxonomy import CATEGORIES

ESC10_CATEGORIES: Final = {
    "Dog bark": "dog",
    "Chainsaw": "powered-saw",
    "Helicopter": "engine",
    "Baby cry": "human-voice",
    "Person sneeze": "human-voice",
}
"""Classes of ESC-10 that belong to a category; the others (rain, waves, clock, rooster, fire) are none."""


def load_esc10(folder: Path, cache: FeatureCache) -> Dataset:
    """Read ESC-10: one directory per class, named `001 - Dog bark`; the fold is the file name's first digit.

    Args:
        folder: has the class directories.
        cache: embeds the clips; it repeats those of 5 s.

    Raises:
        InvalidError: there are no class directories with recordings, or a clip cannot be read.
        UnavailableError: a file cannot be opened.
    """
    files = esc10_files(folder)
    if not files:
        raise InvalidError(f"{folder} has no class directories such as '001 - Dog bark' with recordings")
    features, labels, groups, versions = [], [], [], []
    for file in files:
        category = ESC10_CATEGORIES.get(file.parent.name.partition(" - ")[2])
        features.append(cache.features(file))
        versions.append(cache.versions(file, len(files)))
        labels.append([int(name == category) for name in CATEGORIES])
        groups.append(f"fold-{file.name[0]}")
    return assembled(cache.space, features, labels, groups, versions=versions)


def esc10_files(folder: Path) -> list[Path]:
    """List the recordings in class directories such as `001 - Dog bark`, sorted; none in another folder."""
    found = (file for file in folder.glob("[0-9]* - */*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in found if file.name[0].isdigit())
