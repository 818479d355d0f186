"""Ready-made VGGish embeddings as a source: an .npz file with `embedding` uint8 [n, 10, 128].

Optional arrays `laeq` and `lafmax` (float [n], dBFS) give the levels of each clip.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge.sources.protocol import EmbeddingClip, SourceItem, UnreadableClip
from shared.errors import InvalidError
from shared.events import Embedding, Levels
from shared.feature_space import VGGISH, Features
from shared.npz_files import read_arrays


def load_embeddings(path: Path) -> tuple[Features, npt.NDArray[np.float64] | None]:
    """Read and check an .npz file; pickled objects are rejected.

    Returns:
        uint8 [n, 10, 128], and float64 [n, 2] with (laeq, lafmax) in dBFS or None.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: not an .npz file, no `embedding`, or arrays of another shape or type.
    """
    arrays = read_arrays(path, ("embedding", "laeq", "lafmax"))
    if "embedding" not in arrays:
        raise InvalidError(f"{path} holds no array named embedding")
    features = arrays["embedding"]
    if features.dtype != np.uint8 or features.ndim != 3 or features.shape[1:] != VGGISH.shape:
        raise InvalidError(
            f"{path}: embedding must be uint8 [n, 10, 128], it is {features.dtype} {list(features.shape)}"
        )
    return features, _levels(path, arrays, features.shape[0])


def _levels(path: Path, arrays: dict[str, npt.NDArray[Any]], n: int) -> npt.NDArray[np.float64] | None:
    if "laeq" not in arrays and "lafmax" not in arrays:
        return None
    pair = [arrays.get("laeq"), arrays.get("lafmax")]
    if any(a is None or a.shape != (n,) or not np.issubdtype(a.dtype, np.floating) for a in pair):
        raise InvalidError(f"{path}: laeq and lafmax must both be floats [n]")
    return np.stack([np.asarray(a, dtype=np.float64) for a in pair], axis=1)


class EmbeddingSource:
    """Embeddings from a file, of which each sensor takes every `shard_count`-th.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: `load_embeddings` rejects the file, or this sensor's part of it is empty.
    """

    live: Final = False
    payload_format: Final = VGGISH.id

    def __init__(self, path: Path, shard_index: int = 0, shard_count: int = 1, *, loop: bool = False) -> None:
        features, levels = load_embeddings(path)
        self._features = features[shard_index::shard_count]
        self._levels = None if levels is None else levels[shard_index::shard_count]
        self._loop = loop
        if self._features.shape[0] == 0:
            raise InvalidError(f"{path} holds no embeddings for shard {shard_index} of {shard_count}")
        self.description = f"{self._features.shape[0]} of {features.shape[0]} embeddings in {path}"

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield every embedding in order; one with impossible levels is an `UnreadableClip`."""
        readable = True
        while readable and not stop.is_set():
            readable = False
            for i, features in enumerate(self._features):
                try:
                    levels = None
                    if self._levels is not None:
                        levels = Levels(laeq=float(self._levels[i, 0]), lafmax=float(self._levels[i, 1]))
                except InvalidError as error:
                    yield UnreadableClip(f"embedding {i}", str(error))
                    continue
                readable = True
                yield EmbeddingClip(Embedding(VGGISH.id, features), levels)
            if not self._loop:
                return
