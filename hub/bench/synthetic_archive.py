"""Archives of any size for benchmarks: real embeddings recombined and jittered, or random ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hub.search.backend import IndexEntry
from hub.search.memory.index import MemoryIndex
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import Features, FeatureSpace
from shared.synthetic_features import splice_clips
from shared.taxonomy import COUNT

_BATCH = 16_384
_FIRST_MS = 1_780_000_000_000
SENSORS = 50


def real_clips(folder: Path | None, space: FeatureSpace, rng: np.random.Generator) -> tuple[Features, Features]:
    """Return clips to make archives of, and clips to search for.

    Args:
        folder: has `train.npz` and `eval_dev.npz` (`embedding` uint8 [n, frames, dimension]); None: random clips.
        space: the feature space.
        rng: random generator.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: the embeddings have another shape.
    """
    if folder is None:
        made = rng.integers(0, 256, (4_000, *space.shape), dtype=np.uint8)
        return made[:3_000], made[3_000:]
    return _embeddings(folder / "train.npz", space), _embeddings(folder / "eval_dev.npz", space)


def _embeddings(path: Path, space: FeatureSpace) -> Features:
    try:
        with np.load(path, allow_pickle=False) as file:
            found: Features = file["embedding"]
    except (OSError, KeyError, ValueError) as error:
        raise UnavailableError(f"cannot read embeddings from {path}: {error}") from error
    if found.dtype != np.uint8 or found.shape[1:] != space.shape:
        raise InvalidError(f"{path} holds {found.dtype} {list(found.shape)}, not embeddings of {space.id}")
    return found


def fill_index(
    index: MemoryIndex,
    clips: Features,
    count: int,
    rng: np.random.Generator,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Fill an index with clips made of real ones, from fifty sensors, ten seconds apart.

    Args:
        index: index to fill; it may hold events already.
        clips: uint8 [n, frames, dimension].
        count: number of events in the index at the end.
        rng: random generator.
        progress: called with the number of events so far.
    """
    while len(index) < count:
        first = len(index)
        features = splice_clips(clips, min(_BATCH, count - first), rng)
        towers = index.scorer.embed(features)
        presence = index.scorer.presence(towers) if index.scorer.tags is not None else np.zeros((len(towers), COUNT))
        entries = [
            IndexEntry(
                event=f"sensor-{(first + n) % SENSORS}.bench.{(first + n) // SENSORS}",
                place=f"bench/sensor-{(first + n) % SENSORS}",
                captured_ms=_FIRST_MS + 10_000 * ((first + n) // SENSORS),
                laeq=-40.0,
                presence=tuple(presence[n].tolist()),
            )
            for n in range(len(towers))
        ]
        index.add(entries, towers)
        progress(len(index))
