"""Features with labels in one file, `features.npz`."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from hub.training.dataset import Dataset
from shared.errors import InvalidError
from shared.feature_space import get_space
from shared.npz_files import read_arrays

FILE: Final = "features.npz"


def load_features(folder: Path) -> Dataset:
    """Read clips that are already embedded.

    Args:
        folder: has `features.npz` with `space` (an id), `features` uint8 [n, frames, dimension], `labels` uint8
            [n, 8] and, if there are finer labels, `fine`: uint8 [n, m] of 0 and 1, or float16 in [0, 1].

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: an array is missing or of another shape, or the feature space is unknown.
    """
    path = folder / FILE
    arrays = read_arrays(path, ("space", "features", "labels", "fine"))
    try:
        space = get_space(str(arrays["space"]))
        features, labels = arrays["features"], arrays["labels"]
    except KeyError as error:
        raise InvalidError(f"{path} does not hold space, features and labels: {error}") from error
    if features.ndim != 3:
        raise InvalidError(f"{path}: features are {list(features.shape)}, not [n, frames, dimension]")
    return Dataset(space, features, labels, np.full(len(features), ""), arrays.get("fine"))


def save_features(folder: Path, data: Dataset) -> None:
    """Write clips as `load_features` reads them; groups and versions are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"space": data.space.id, "features": data.features, "labels": data.labels}
    if data.fine is not None:
        arrays["fine"] = data.fine
    np.savez_compressed(folder / FILE, **arrays)
