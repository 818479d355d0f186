import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hub.features.logmel import LogMel
from hub.training.dataset import without
from hub.training.datasets.audioset import load_audioset
from hub.training.datasets.esc10 import load_esc10
from hub.training.datasets.feature_cache import FeatureCache
from hub.training.datasets.recordings import load_recordings
from hub.training.datasets.synthetic import synthesise
from shared.errors import InvalidError, UnavailableError
from shared.taxonomy import CATEGORIES


def tone(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) / 8), 8_000)


def recordings(folder: Path, mark: str = "1") -> Path:
    rows = [("a.wav", "2", "dog"), ("b.wav", "7", "music")]
    for name, _, _ in rows:
        tone(folder / "clips" / name)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["clip", "sensor_id", "hour", *CATEGORIES])
        writer.writeheader()
        for name, sensor, received in rows:
            marks = {category: mark if category == received else "0" for category in CATEGORIES}
            writer.writerow({"clip": name, "sensor_id": sensor, "hour": "3", **marks})
    return folder


def test_recordings_carry_their_labels_and_sensors(tmp_path: Path) -> None:
    ticks: list[int] = []
    data = load_recordings(recordings(tmp_path), FeatureCache(LogMel(), tick=lambda: ticks.append(1)))
    assert data.features.shape == (2, 108, 128)
    assert data.labels.tolist() == [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0, 0]]
    assert data.groups.tolist() == ["sensor-2", "sensor-7"]
    assert len(ticks) == 2
    rest, held = without(data, ["sensor-7"])
    assert (rest.groups.tolist(), held.groups.tolist()) == (["sensor-2"], ["sensor-7"])
    with pytest.raises(InvalidError, match="sensor-9"):
        without(data, ["sensor-9"])


def test_damaged_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        load_recordings(tmp_path, FeatureCache(LogMel()))
    folder = recordings(tmp_path, mark="maybe")
    with pytest.raises(InvalidError, match="not 0 or 1"):
        load_recordings(folder, FeatureCache(LogMel()))
    (folder / "labels.csv").write_text("clip,sensor_id\na.wav,2\n")
    with pytest.raises(InvalidError, match="no columns"):
        load_recordings(folder, FeatureCache(LogMel()))


def test_esc10_classes_become_categories_or_none(tmp_path: Path) -> None:
    for name in ("001 - Dog bark/1-1-A.wav", "002 - Rain/3-1-A.wav", "008 - Chainsaw/5-1-A.wav"):
        tone(tmp_path / name)
    data = load_esc10(tmp_path, FeatureCache(LogMel()))
    assert [np.flatnonzero(row).tolist() for row in data.labels] == [[7], [], [3]]
    assert data.groups.tolist() == ["fold-1", "fold-3", "fold-5"]
    with pytest.raises(InvalidError):
        load_esc10(tmp_path / "nothing", FeatureCache(LogMel()))


def test_synthetic_scenes_repeat_with_their_seed() -> None:
    first, second, other = (synthesise(3, seed, LogMel(), lambda: None) for seed in (1, 1, 2))
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.features, other.features)


def test_audioset_trains_on_one_split_and_asks_from_the_other(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)

    def write(name: str, clips: int) -> npt.NDArray[np.uint8]:
        embedding = rng.integers(0, 256, (clips, 10, 128), dtype=np.uint8)
        coarse = rng.integers(0, 2, (clips, 8), dtype=np.uint8)
        fine = np.packbits(rng.integers(0, 2, (clips, 527), dtype=np.uint8), axis=1)
        np.savez(
            tmp_path / name, embedding=embedding, coarse=coarse, audioset_labels=fine, clip_id=np.full(clips, "x")
        )
        return embedding

    train, queries = write("train.npz", 6), write("eval_dev.npz", 4)
    np.savez(tmp_path / "urban_benchmark.npz", database=np.array([5, 1]), query=np.array([3]))
    data, benchmark = load_audioset(tmp_path)
    assert np.array_equal(data.features, train)
    assert np.flatnonzero(data.in_domain).tolist() == [1, 5]
    assert data.fine is not None
    assert data.fine.shape == (6, 527)
    assert np.array_equal(benchmark.database.features, train[[5, 1]])
    assert np.array_equal(benchmark.queries.features, queries[[3]])


def test_audioset_that_is_not_there_or_something_else_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        load_audioset(tmp_path)
    for name in ("train", "eval_dev", "urban_benchmark"):
        np.savez(tmp_path / f"{name}.npz", a=np.zeros(1))
    with pytest.raises(InvalidError):
        load_audioset(tmp_path)
