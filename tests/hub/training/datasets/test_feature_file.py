"""Features that a program made, with labels."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.training.dataset import Dataset, joined, with_domain
from hub.training.datasets import DatasetReader
from hub.training.datasets.feature_file import FILE, load_features, save_features
from shared.backbones import register_backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, SPACES, VGGISH, FeatureSpace
from shared.taxonomy import CATEGORIES
from tests.backbone_factory import write_backbone


def clips(groups: list[str]) -> Dataset:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (len(groups), *EARWITNESS_SMALL.shape), dtype=np.uint8)
    labels = rng.integers(0, 2, (len(groups), 8), dtype=np.uint8)
    return Dataset(EARWITNESS_SMALL, features, labels, np.array(groups))


def test_what_is_saved_is_loaded_without_groups(tmp_path: Path) -> None:
    data = clips(["a", "b", "c"])
    save_features(tmp_path / "made", data)
    found = load_features(tmp_path / "made")
    assert found.space is EARWITNESS_SMALL
    np.testing.assert_array_equal(found.features, data.features)
    np.testing.assert_array_equal(found.labels, data.labels)
    assert found.groups.tolist() == ["", "", ""]


def test_files_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="features"):
        load_features(tmp_path)
    (tmp_path / FILE).write_text("hello")
    with pytest.raises(InvalidError, match=r"does not hold|is not an .npz file|is not a readable .npz"):
        load_features(tmp_path)
    np.savez(tmp_path / FILE, space=EARWITNESS_SMALL.id, features=np.zeros((2, *EARWITNESS_SMALL.shape), np.uint8))
    with pytest.raises(InvalidError, match="labels"):
        load_features(tmp_path)
    np.savez(tmp_path / FILE, space="ears/1", features=np.zeros(1), labels=np.zeros(1))
    with pytest.raises(InvalidError, match="ears/1"):
        load_features(tmp_path)
    np.savez(
        tmp_path / FILE,
        space=EARWITNESS_SMALL.id,
        features=np.zeros((2, 3, 4), np.uint8),
        labels=np.zeros((2, 8), np.uint8),
    )
    with pytest.raises(InvalidError, match=r"\[2, 3, 4\]"):
        load_features(tmp_path)


def test_clips_of_sensors_are_the_domain_where_there_are_some() -> None:
    mixed = clips(["sensor-1", "", "fold-2", "sensor-9"])
    assert with_domain(mixed).in_domain.tolist() == [True, False, False, True]
    none = clips(["", "fold-2"])
    assert with_domain(none) is none
    reported = with_domain(mixed)
    assert with_domain(reported) is reported


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(SPACES)), st.integers(0, 5), st.integers(0, 2**32))
def test_whatever_is_saved_is_loaded_as_it_was(space_id: str, count: int, seed: int) -> None:
    space, rng = SPACES[space_id], np.random.default_rng(seed)
    features = rng.integers(0, 256, (count, *space.shape), dtype=np.uint8)
    data = Dataset(space, features, rng.integers(0, 2, (count, 8), dtype=np.uint8), np.full(count, "sensor-1"))
    with tempfile.TemporaryDirectory() as folder:
        save_features(Path(folder), data)
        found = load_features(Path(folder))
    assert found.space == space
    np.testing.assert_array_equal(found.features, data.features)
    np.testing.assert_array_equal(found.labels, data.labels)
    assert found.groups.tolist() == [""] * count
    assert found.fine is None
    assert found.domain is None


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.0, exclude_max=True))
def test_a_file_that_was_cut_short_is_refused(share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_features(Path(folder), clips(["a", "b"]))
        whole = (Path(folder) / FILE).read_bytes()
        (Path(folder) / FILE).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InvalidError, match=r"does not hold|is not an .npz file|is not a readable .npz"):
            load_features(Path(folder))


def test_values_that_are_no_features_or_labels_are_refused(tmp_path: Path) -> None:
    features, labels = np.zeros((2, *EARWITNESS_SMALL.shape), np.uint8), np.zeros((2, 8), np.uint8)
    for changes in (
        {"features": features.astype(np.float32)},
        {"features": features[:1]},
        {"labels": labels + 2},
        {"labels": labels.astype(np.int64)},
        {"labels": labels[:, :7]},
        {"features": np.full(2, None)},
    ):
        np.savez(
            tmp_path / FILE,
            **({"space": np.array(EARWITNESS_SMALL.id), "features": features, "labels": labels} | changes),
        )
        with pytest.raises(InvalidError):
            load_features(tmp_path)


def damaged_within(whole: bytes) -> bytes:
    """The first compressed block of the first array is of a kind that does not exist."""
    at = 30 + int.from_bytes(whole[26:28], "little") + int.from_bytes(whole[28:30], "little")
    return whole[:at] + b"\xff" + whole[at + 1 :]


def as_if_encrypted(whole: bytes) -> bytes:
    """The flag of encryption is set in the table of contents."""
    at = whole.index(b"PK\x01\x02") + 8
    return whole[:at] + bytes([whole[at] | 1]) + whole[at + 1 :]


def of_a_zip_to_come(whole: bytes) -> bytes:
    """The table of contents wants a later version of zip."""
    at = whole.index(b"PK\x01\x02") + 6
    return whole[:at] + bytes([200]) + whole[at + 1 :]


def of_one_array(_whole: bytes) -> bytes:
    """A single array, as numpy.save writes it."""
    with tempfile.TemporaryFile() as file:
        np.save(file, np.zeros(3))
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("damage", [damaged_within, as_if_encrypted, of_a_zip_to_come, of_one_array])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    save_features(tmp_path, clips(["a", "b"]))
    (tmp_path / FILE).write_bytes(damage((tmp_path / FILE).read_bytes()))
    with pytest.raises(InvalidError, match=r"does not hold|is not an .npz file|is not a readable .npz"):
        load_features(tmp_path)


def test_a_reader_learns_features_of_its_own_space_only(tmp_path: Path) -> None:
    data = clips(["a", "b"])
    save_features(tmp_path, data)
    np.testing.assert_array_equal(DatasetReader(EARWITNESS_SMALL.id).training_set(tmp_path).features, data.features)
    for space in (VGGISH, LOGMEL):
        with pytest.raises(
            InvalidError, match=f"features of {EARWITNESS_SMALL.id}, but the feature space is {space.id}"
        ):
            DatasetReader(space.id).training_set(tmp_path)


def recordings(folder: Path) -> Path:
    rows = [",".join(["clip", "sensor_id", *CATEGORIES])]
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", 0.1 * np.sin(np.arange(8_000) / (number + 3)), 8_000)
        rows.append(f"{number}.wav,{number}," + ",".join("01"[number == c] for c in range(8)))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_folder_of_recordings_is_read_even_if_features_are_beside_them(tmp_path: Path) -> None:
    save_features(recordings(tmp_path), clips(["a"] * 9))
    assert DatasetReader(EARWITNESS_SMALL.id).training_set(tmp_path).groups.tolist() == [
        "sensor-0",
        "sensor-1",
        "sensor-2",
    ]


def test_features_of_all_spaces_are_kept_side_by_side_and_computed_once(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    folder, cache = recordings(tmp_path / "recordings"), tmp_path / "cache"
    space = register_backbone(write_backbone(tmp_path, "kept-in-cache")).space
    received = [DatasetReader(one, cache=cache).training_set(folder) for one in (LOGMEL.id, space.id)]
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    assert sorted(path.relative_to(cache).parts[0] for path in kept) == [
        *["kept-in-cache-u8-1"] * 3,
        *["logmel-22k-128-1"] * 3,
    ]
    again = [DatasetReader(one, cache=cache).training_set(folder) for one in (LOGMEL.id, space.id)]
    for one, other in zip(received, again, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == kept
    without = DatasetReader(space.id).training_set(folder)
    np.testing.assert_array_equal(without.features, received[1].features)


TOY = FeatureSpace("toy/1", frames=1, dimension=2, low=0.0, high=1.0)
groups = st.lists(st.sampled_from(["", "fold-1", "sensor-1", "sensor-22", "my-sensor-3"]), max_size=9)


def toy(names: list[str], domain: list[bool] | None = None) -> Dataset:
    count = len(names)
    features, labels = np.zeros((count, *TOY.shape), np.uint8), np.zeros((count, 8), np.uint8)
    reported = None if domain is None else np.array(domain, dtype=np.bool_)
    return Dataset(TOY, features, labels, np.array(names, dtype=np.str_), domain=reported)


@given(groups)
def test_the_domain_is_the_sensors_and_without_one_everything(names: list[str]) -> None:
    data = toy(names)
    found = with_domain(data)
    sensors = [name.startswith("sensor-") for name in names]
    assert found.in_domain.tolist() == (sensors if any(sensors) else [True] * len(names))
    assert found.groups is data.groups
    assert found.features is data.features


def test_a_domain_that_is_known_stays() -> None:
    data = toy(["sensor-1", "", "fold-1"], [False, True, True])
    assert with_domain(data).in_domain.tolist() == [False, True, True]


def test_features_that_a_program_made_only_help_to_learn_beside_sensors(tmp_path: Path) -> None:
    save_features(tmp_path, clips(["sensor-8", "sensor-9"]))
    both = joined([load_features(tmp_path), clips(["sensor-1", "sensor-2", ""])])
    assert with_domain(both).in_domain.tolist() == [False, False, True, True, False]
