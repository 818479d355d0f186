"""Reading the data sets that training and evaluation know.

| loader | folder | groups |
|---|---|---|
| `load_audioset` | `train.npz`, `eval_dev.npz`, `urban_benchmark.npz` with VGGish embeddings | none |
| `load_recordings` | `labels.csv` and `clips/` (SONYC-UST v2, or your own) | `sensor-<id>` |
| `load_esc10` | one directory per class | `fold-<digit>` |
| `synthesise` | nothing: `shared.scene` | none |
"""

import csv
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from hub.audio.choose import extractor_for
from hub.audio.extractor import Extractor
from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset
from shared.audio import SUFFIXES, read_file
from shared.errors import Invalid, Unavailable
from shared.scene import make_scene
from shared.space import VGGISH, Features, FeatureSpace
from shared.taxonomy import CATEGORIES, COUNT

ESC10_CATEGORIES: Final = {
    "Dog bark": "dog",
    "Chainsaw": "powered-saw",
    "Helicopter": "engine",
    "Baby cry": "human-voice",
    "Person sneeze": "human-voice",
}
"""Classes of ESC-10 that belong to a category; the others (rain, waves, clock, rooster, fire) are none."""

SCENE_RATES_HZ: Final = (22_050, 22_050, 22_050, 48_000)
"""Sample rates that synthetic scenes are made at, in turn."""

AUDIOSET_LABELS: Final = 527

Tick = Callable[[], None]


def load_audioset(folder: Path) -> tuple[Dataset, Benchmark]:
    """The AudioSet embeddings: what may be learnt, and the urban benchmark.

    The training set is all of AudioSet's balanced training split with its 527 labels as finer ones. Its domain is
    the benchmark's database: clips with noise, and music-only and voice-only clips capped. All of AudioSet is
    mostly music and voice, and a network that expects that finds little noise.

    Returns:
        The training set, and the benchmark whose queries are of the evaluation split.

    Raises:
        Unavailable: a file cannot be opened.
        Invalid: a file holds something else.
    """
    train, queries = _archive(folder / "train.npz"), _archive(folder / "eval_dev.npz")
    chosen = _archive(folder / "urban_benchmark.npz")
    try:
        data, database = _embedded(train), chosen["database"].astype(np.int64)
        domain = np.zeros(len(data), dtype=np.bool_)
        domain[database] = True
        benchmark = Benchmark(_embedded(queries).take(chosen["query"].astype(np.int64)), data.take(database))
        return replace(data, domain=domain), benchmark
    except (KeyError, IndexError) as error:
        raise Invalid(f"the files in {folder} are not the AudioSet benchmark: {error}") from error


def load_folder(folder: Path, space: str, weights_dir: Path, tick: Tick) -> Dataset:
    """The training data in a folder of any kind that the module's docstring lists.

    Args:
        folder: what to read.
        space: id of the feature space.
        weights_dir: VGGish's weights, to hear recordings as VGGish.
        tick: told after each clip that is heard.

    Raises:
        Unavailable: a file, or VGGish's weights, cannot be opened.
        Invalid: none of these kinds, embeddings of another space, or damaged.
    """
    if (folder / "urban_benchmark.npz").is_file():
        if space != VGGISH.id:
            raise Invalid(f"{folder} holds VGGish embeddings; they cannot train {space}")
        return load_audioset(folder)[0]
    if (folder / "labels.csv").is_file():
        return load_recordings(folder, extractor_for(space, weights_dir), tick)
    if _esc10_files(folder):
        return load_esc10(folder, extractor_for(space, weights_dir), tick)
    raise Invalid(f"{folder} has neither urban_benchmark.npz, nor labels.csv, nor class directories as ESC-10 has")


def load_recordings(folder: Path, extractor: Extractor, tick: Tick) -> Dataset:
    """Recordings with a table of labels.

    Args:
        folder: has `labels.csv` with column `clip`, one column per category (0, 1), and if known `sensor_id`.
            Clips are looked for in `clips/` and beside the table.
        extractor: computes the features.
        tick: told after each clip.

    Raises:
        Unavailable: a file cannot be opened.
        Invalid: a column is missing, a label is not 0 or 1, a clip is not readable.
    """
    try:
        with (folder / "labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise Unavailable(f"cannot open {folder / 'labels.csv'}: {error.strerror}") from error
    wanted = {"clip", *CATEGORIES}
    if not rows or (missing := wanted - set(rows[0])):
        raise Invalid(f"{folder / 'labels.csv'} has no rows or lacks columns {sorted(missing) if rows else ''}")
    features, labels, groups = [], [], []
    for row in rows:
        marks = [row[name] for name in CATEGORIES]
        if not set(marks) <= {"0", "1"}:
            raise Invalid(f"{folder / 'labels.csv'}: labels of {row['clip']} are not 0 or 1")
        features.append(extractor.extract(*read_file(_inside(folder, row["clip"]))))
        labels.append([int(mark) for mark in marks])
        groups.append(f"sensor-{row['sensor_id']}" if row.get("sensor_id") else "")
        tick()
    return _dataset(extractor.space, features, labels, groups)


def _inside(folder: Path, clip: str) -> Path:
    """Path of a clip in `clips/` or beside the table, never outside the folder."""
    for parent in (folder / "clips", folder):
        path = parent / clip
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise Unavailable(f"cannot find {clip} in {folder / 'clips'} or {folder}")


def load_esc10(folder: Path, extractor: Extractor, tick: Tick) -> Dataset:
    """ESC-10: one directory per class, named `001 - Dog bark`; the fold is the file name's first digit.

    Args:
        folder: has the class directories.
        extractor: computes the features; clips of 5 s are heard twice.
        tick: told after each clip.

    Raises:
        Invalid: no class directories with recordings, or a clip is not readable.
        Unavailable: a file cannot be opened.
    """
    files = _esc10_files(folder)
    if not files:
        raise Invalid(f"{folder} has no class directories such as '001 - Dog bark' with recordings")
    features, labels, groups = [], [], []
    for file in files:
        category = ESC10_CATEGORIES.get(file.parent.name.partition(" - ")[2])
        features.append(extractor.extract(*read_file(file)))
        labels.append([int(name == category) for name in CATEGORIES])
        groups.append(f"fold-{file.name[0]}")
        tick()
    return _dataset(extractor.space, features, labels, groups)


def _esc10_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("[0-9]* - */*") if file.suffix in SUFFIXES and file.name[0].isdigit())


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
    return _dataset(extractor.space, [m[0] for m in made], [m[1] for m in made], [""] * count)


def without(data: Dataset, groups: Iterable[str]) -> tuple[Dataset, Dataset]:
    """Hold groups out.

    Returns:
        The other clips, and the clips of these groups.

    Raises:
        Invalid: a group of which there is no clip.
    """
    names = list(groups)
    if unknown := set(names) - set(data.groups.tolist()):
        raise Invalid(f"no clips of {sorted(unknown)}; groups: {sorted(set(data.groups.tolist()))}")
    held = np.isin(data.groups, names)
    return data.take(~held), data.take(held)


def _dataset(space: FeatureSpace, features: list[Features], labels: list[list[int]], groups: list[str]) -> Dataset:
    return Dataset(
        space,
        np.asarray(features, dtype=np.uint8).reshape(-1, *space.shape),
        np.asarray(labels, dtype=np.uint8).reshape(-1, COUNT),
        np.asarray(groups, dtype=np.str_),
    )


def _archive(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name != "clip_id"}
    except OSError as error:
        raise Unavailable(f"cannot open {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise Invalid(f"{path} is not an npz archive: {error}") from error


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
