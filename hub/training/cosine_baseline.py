"""Acoustic similarity without any learning: the cosine of mean embeddings."""

import numpy as np
import numpy.typing as npt

from hub.training.dataset import Dataset


def cosines(queries: Dataset, database: Dataset) -> npt.NDArray[np.float32]:
    """Cosine of the clips' mean dequantised features: float32 [q, n], in [-1, 1]."""
    return np.asarray(directions(queries) @ directions(database).T, dtype=np.float32)


def directions(data: Dataset) -> npt.NDArray[np.float32]:
    """Mean dequantised features of each clip, as unit vectors: float32 [n, dimension]."""
    means = np.stack([data.space.dequantise(clip).mean(axis=0) for clip in data.features])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(lengths, 1e-12), dtype=np.float32)
