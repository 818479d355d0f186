"""Recordings with a table of labels, such as your own."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from hub.training.dataset import Dataset, assembled
from hub.training.datasets.feature_cache import FeatureCache
from shared.errors import InvalidError, UnavailableError
from shared.taxonomy import CATEGORIES
from shared.text_files import Row, read_table


def load_recordings(folder: Path, cache: FeatureCache) -> Dataset:
    """Read recordings with a table of labels.

    Args:
        folder: has `labels.csv` with column `clip`, one column per category (0, 1), and if known `sensor_id` and
            `source` (equal text means the same source). Clips are looked for in `clips/` and beside the table.
        cache: embeds the clips.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: the table cannot be read, two rows label one clip differently, or a clip cannot be read; the
            message names the line.
    """
    table = folder / "labels.csv"
    features, labels, groups, versions, sources = [], [], [], [], []
    first_rows: dict[str, Row] = {}
    rows = read_table(table, ("clip", *CATEGORIES))
    for row in rows:
        clip = row.cells["clip"]
        where = f"{table}, line {row.line}"
        marks = [_mark(row, name, where) for name in CATEGORIES]
        if (before := first_rows.setdefault(clip, row)) is not row:
            if before.cells != row.cells:
                raise InvalidError(f"{where}: {clip} has other labels in line {before.line}: remove one of them")
            continue
        try:
            path = _inside(folder, clip)
            features.append(cache.features(path))
            versions.append(cache.versions(path, len(rows)))
        except (InvalidError, UnavailableError) as error:
            raise type(error)(f"{where}: {error}") from error
        labels.append(marks)
        groups.append(f"sensor-{row.cells['sensor_id']}" if row.cells.get("sensor_id") else "")
        sources.append(row.cells.get("source", "").strip())
    data = assembled(cache.space, features, labels, groups, versions=versions)
    return replace(data, sources=np.asarray(sources, dtype=np.str_)) if any(sources) else data


def _mark(row: Row, name: str, where: str) -> int:
    """Return a label, 0 or 1; a spreadsheet's 1.0 is a 1."""
    try:
        mark = float(row.cells[name])
    except ValueError:
        mark = float("nan")
    if mark not in {0.0, 1.0}:
        raise InvalidError(f"{where}: {name} of {row.cells['clip']} is {row.cells[name]!r}, not 0 or 1")
    return int(mark)


def _inside(folder: Path, clip: str) -> Path:
    """Return the path of a clip in `clips/` or beside the table, never outside the folder."""
    for parent in (folder / "clips", folder):
        path = parent / clip
        if os.path.isfile(path) and path.resolve().is_relative_to(folder.resolve()):  # noqa: PTH113 - never raises
            return path
    raise UnavailableError(f"cannot find {clip!r} in {folder / 'clips'} or {folder}")
