"""Features that a program made, with labels."""

from pathlib import Path

import numpy as np
import pytest

from hub.training.dataset import Dataset, with_domain
from hub.training.datasets.features import FILE, load_features, save_features
from shared.errors import Invalid, Unavailable
from shared.space import SMALL


def clips(groups: list[str]) -> Dataset:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (len(groups), *SMALL.shape), dtype=np.uint8)
    labels = rng.integers(0, 2, (len(groups), 8), dtype=np.uint8)
    return Dataset(SMALL, features, labels, np.array(groups))


def test_what_is_saved_is_loaded_without_groups(tmp_path: Path) -> None:
    data = clips(["a", "b", "c"])
    save_features(tmp_path / "made", data)
    found = load_features(tmp_path / "made")
    assert found.space is SMALL
    np.testing.assert_array_equal(found.features, data.features)
    np.testing.assert_array_equal(found.labels, data.labels)
    assert found.groups.tolist() == ["", "", ""]


def test_files_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="features"):
        load_features(tmp_path)
    (tmp_path / FILE).write_text("hello")
    with pytest.raises(Invalid, match="does not hold"):
        load_features(tmp_path)
    np.savez(tmp_path / FILE, space=SMALL.id, features=np.zeros((2, *SMALL.shape), np.uint8))
    with pytest.raises(Invalid, match="labels"):
        load_features(tmp_path)
    np.savez(tmp_path / FILE, space="ears/1", features=np.zeros(1), labels=np.zeros(1))
    with pytest.raises(Invalid, match="ears/1"):
        load_features(tmp_path)
    np.savez(
        tmp_path / FILE, space=SMALL.id, features=np.zeros((2, 3, 4), np.uint8), labels=np.zeros((2, 8), np.uint8)
    )
    with pytest.raises(Invalid, match=r"\[2, 3, 4\]"):
        load_features(tmp_path)


def test_clips_of_sensors_are_the_domain_where_there_are_some() -> None:
    mixed = clips(["sensor-1", "", "fold-2", "sensor-9"])
    assert with_domain(mixed).in_domain.tolist() == [True, False, False, True]
    none = clips(["", "fold-2"])
    assert with_domain(none) is none
    told = with_domain(mixed)
    assert with_domain(told) is told
