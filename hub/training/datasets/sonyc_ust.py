"""SONYC-UST as published: recordings and `annotations.csv`, versions 0.4 to 2.3, several annotators a clip.

How annotators become one label: if the SONYC team agreed on a clip (annotator 0), their annotation holds. Otherwise a
label is present if at least one annotator marked it. A label that an annotator was not asked for, or could not
decide (-1), is not a vote.

How fine becomes coarse: a category is present if it, or any of its finer labels (also `X`, other or unknown), is.

Source: the paper, section 4.1; Cartwright et al. 2019, SONYC Urban Sound Tagging (SONYC-UST).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import Labels
from hub.training.benchmark import Benchmark
from hub.training.dataset import Dataset, assembled
from hub.training.datasets.feature_cache import FeatureCache
from shared.audio import SUFFIXES
from shared.errors import InvalidError, UnavailableError
from shared.paths import files_below
from shared.taxonomy import CATEGORIES, COUNT
from shared.text_files import Row, read_table

PAPER_PAIRS: Final = 218_173
"""Training pairs that the paper reports. Source: the paper, section 4.2."""
TRAIN: Final = "train"
QUERIES: Final = ("validate", "test")
_AGREED: Final = "0"
_LABEL: Final = re.compile(r"(\d)(?:-([\dX]+))?_(.+)_presence")


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """One label per clip and category.

    Attributes:
        files: names of the recordings, str [n].
        splits: `train`, `validate` or `test`, str [n].
        sensors: ids of the sensors, str [n].
        labels: uint8 [n, 8].
        fine: uint8 [n, m], the finer labels.
        fine_names: their names, such as `1-1_small-sounding-engine`.
        votes: annotations per clip, int64 [n].
    """

    files: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    sensors: npt.NDArray[np.str_]
    labels: Labels
    fine: Labels
    fine_names: tuple[str, ...]
    votes: npt.NDArray[np.int64]


def annotation_file(folder: Path) -> Path | None:
    """Return the annotations in a folder, `annotations.csv` or `annotations_<version>.csv`; None without."""
    return next(iter(sorted(folder.glob("annotations*.csv"))), None)


def read_annotations(path: Path) -> Annotations:
    """Read and aggregate a file of annotations; see the module's docstring for the rules.

    Clips are in the order of the file.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: columns are missing, or values are none that SONYC-UST has.
    """
    rows = read_table(path, ("split", "sensor_id", "audio_filename", "annotator_id"))
    columns = [found for name in rows[0].cells if (found := _LABEL.fullmatch(name))]
    coarse = {int(found[1]) - 1: found[0] for found in columns if found[2] is None}
    fine = [found[0] for found in columns if found[2] is not None]
    if set(coarse) != set(range(COUNT)):
        raise InvalidError(f"{path} lacks columns of some of the {COUNT} categories")
    clips: dict[str, list[Row]] = {}
    for row in rows:
        clips.setdefault(row.cells["audio_filename"], []).append(row)
    labels = np.zeros((len(clips), COUNT), dtype=np.uint8)
    finer = np.zeros((len(clips), len(fine)), dtype=np.uint8)
    try:
        for clip, annotations in enumerate(clips.values()):
            counted = [row for row in annotations if row.cells["annotator_id"] == _AGREED] or annotations
            finer[clip] = [_is_present(counted, column) for column in fine]
            labels[clip] = [_is_present(counted, coarse[category]) for category in range(COUNT)]
    except ValueError as error:
        raise InvalidError(f"{path}, {error}") from error
    for column, name in enumerate(fine):
        labels[:, int(name[0]) - 1] |= finer[:, column]
    first = [annotations[0] for annotations in clips.values()]
    return Annotations(
        np.asarray(list(clips), dtype=np.str_),
        np.asarray([row.cells["split"] for row in first], dtype=np.str_),
        np.asarray([row.cells["sensor_id"] for row in first], dtype=np.str_),
        labels,
        finer,
        tuple(name.removesuffix("_presence") for name in fine),
        np.asarray([len(annotations) for annotations in clips.values()], dtype=np.int64),
    )


def load_sonyc_ust(folder: Path, cache: FeatureCache) -> tuple[Dataset, Benchmark]:
    """SONYC-UST from a folder: the training split to learn, and the paper's benchmark.

    Args:
        folder: has the annotations, and the recordings unpacked anywhere below it.
        cache: embeds the clips.

    Returns:
        The training split with the finer labels and sensors as groups; and a benchmark whose queries are the
        validation split's clips, and the test split's if there is one, and whose database is the training split.

    Raises:
        UnavailableError: annotations or recordings cannot be found or opened.
        InvalidError: the annotations are not SONYC-UST's, or one of the splits is empty.
    """
    path = annotation_file(folder)
    if path is None:
        raise UnavailableError(f"{folder} has no annotations.csv")
    annotations = read_annotations(path)
    recordings = {file.name: file for file in files_below(folder, SUFFIXES).files}
    missing = [name for name in annotations.files.tolist() if name not in recordings]
    if missing:
        raise UnavailableError(
            f"{len(missing)} of {len(annotations.files)} annotated recordings are not below {folder}, for example"
            f" {missing[0]}; unpack all of SONYC-UST's audio archives there"
        )
    data = assembled(
        cache.space,
        [cache.features(recordings[name]) for name in annotations.files.tolist()],
        annotations.labels.tolist(),
        [f"sensor-{sensor}" for sensor in annotations.sensors.tolist()],
        annotations.fine.tolist(),
        [cache.versions(recordings[name], len(annotations.files)) for name in annotations.files.tolist()],
    )
    training = data.take(annotations.splits == TRAIN)
    return training, Benchmark(data.take(np.isin(annotations.splits, QUERIES)), training)


def _is_present(annotations: Iterable[Row], column: str) -> bool:
    """Return whether at least one annotation marks a label as present."""
    values = set()
    for row in annotations:
        cell = row.cells[column]
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if value not in {-1.0, 0.0, 1.0}:
            raise ValueError(f"line {row.line}: {column} is {cell!r}, not 0, 1 or -1")
        values.add(value)
    return 1.0 in values


def positives(annotations: Annotations, split: str) -> dict[str, int]:
    """Count the clips of a split per category."""
    present = annotations.labels[annotations.splits == split].sum(axis=0)
    return dict(zip(CATEGORIES, present.tolist(), strict=True))
