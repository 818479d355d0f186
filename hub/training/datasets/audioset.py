"""AudioSet's VGGish embeddings with the urban benchmark, as npz files."""

from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset
from shared.errors import InvalidError
from shared.feature_space import VGGISH
from shared.npz_files import read_arrays

AUDIOSET_LABELS: Final = 527
EVALUATED: Final = 2_000
"""Most clips of the evaluation split that are cut in two: recall depends on how many there are."""


def load_audioset(folder: Path) -> tuple[Dataset, Benchmark]:
    """Read the AudioSet embeddings: the training set and the urban benchmark.

    The training set is all of AudioSet's balanced training split with its 527 labels as finer ones. Its domain is
    the benchmark's database: clips with noise, and music-only and voice-only clips capped. All of AudioSet is
    mostly music and voice, and a network that expects that finds little noise.

    Returns:
        The training set, and the benchmark whose queries are of the evaluation split.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: a file holds something else.
    """
    train, queries = _archive(folder / "train.npz"), _archive(folder / "eval_dev.npz")
    chosen = _archive(folder / "urban_benchmark.npz")
    try:
        data, database = _embedded(train), chosen["database"].astype(np.int64)
        domain = np.zeros(len(data), dtype=np.bool_)
        domain[database] = True
        benchmark = Benchmark(_embedded(queries).take(chosen["query"].astype(np.int64)), data.take(database))
        return replace(data, domain=domain), benchmark
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InvalidError(f"the files in {folder} are not the AudioSet benchmark: {error}") from error


def load_evaluation(folder: Path) -> Dataset:
    """Read clips of the evaluation split, from which the benchmark's queries are: at most `EVALUATED`, evenly spread.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: it holds something else.
    """
    path = folder / "eval_dev.npz"
    try:
        data = _embedded(_archive(path))
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidError(f"{path} is not the AudioSet benchmark's: {error}") from error
    return data.take(np.linspace(0, len(data) - 1, min(EVALUATED, len(data))).astype(np.int64))


def _archive(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    return read_arrays(path, ("embedding", "coarse", "audioset_labels", "database", "query"))


def _embedded(arrays: dict[str, npt.NDArray[np.generic]]) -> Dataset:
    embedding, coarse = arrays["embedding"], arrays["coarse"]
    packed = cast("npt.NDArray[np.uint8]", arrays["audioset_labels"])
    return Dataset(
        VGGISH,
        cast("npt.NDArray[np.uint8]", embedding),
        cast("npt.NDArray[np.uint8]", coarse),
        np.full(len(coarse), "", dtype=np.str_),
        np.unpackbits(packed, axis=1)[:, :AUDIOSET_LABELS],
    )
