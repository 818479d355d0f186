"""Recordings with a table of labels: SONYC-UST's as we have them, or your own."""

import csv
from pathlib import Path

from hub.training.dataset import Dataset, assembled
from hub.training.datasets.hearing import Hearing
from shared.errors import Invalid, Unavailable
from shared.taxonomy import CATEGORIES


def load_recordings(folder: Path, hearing: Hearing) -> Dataset:
    """Recordings with a table of labels.

    Args:
        folder: has `labels.csv` with column `clip`, one column per category (0, 1), and if known `sensor_id`.
            Clips are looked for in `clips/` and beside the table.
        hearing: hears the clips.

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
        features.append(hearing.features(_inside(folder, row["clip"])))
        labels.append([int(mark) for mark in marks])
        groups.append(f"sensor-{row['sensor_id']}" if row.get("sensor_id") else "")
    return assembled(hearing.space, features, labels, groups)


def _inside(folder: Path, clip: str) -> Path:
    """Path of a clip in `clips/` or beside the table, never outside the folder."""
    for parent in (folder / "clips", folder):
        path = parent / clip
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise Unavailable(f"cannot find {clip} in {folder / 'clips'} or {folder}")
