"""Embeddings as a source."""

from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import pytest

from edge.sources import EmbeddingClip, UnreadableClip
from edge.sources.embeddings import EmbeddingSource
from shared.errors import InvalidError, UnavailableError
from shared.events import Levels


def numbered(n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None], (n, 10, 128))


def numbers(source: EmbeddingSource) -> list[int]:
    return [int(i.embedding.features[0, 0]) for i in source.clips(Flag()) if isinstance(i, EmbeddingClip)]


def test_embeddings_come_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", embedding=numbered(5))
    assert numbers(EmbeddingSource(tmp_path / "e.npz")) == [0, 1, 2, 3, 4]


def test_shards_deal_them_out_without_overlap(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", embedding=numbered(7))
    dealt = [numbers(EmbeddingSource(tmp_path / "e.npz", shard, 4)) for shard in range(4)]
    assert dealt == [[0, 4], [1, 5], [2, 6], [3]]


def test_levels_come_along_if_they_were_recorded(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", embedding=numbered(2), laeq=np.array([-40.0, np.nan]), lafmax=np.zeros(2))
    first, second = EmbeddingSource(tmp_path / "e.npz").clips(Flag())
    assert isinstance(first, EmbeddingClip)
    assert first.levels == Levels(-40.0, 0.0)
    assert isinstance(second, UnreadableClip)


@pytest.mark.parametrize(
    "arrays",
    [
        {"other": numbered(1)},
        {"embedding": numbered(1).astype(np.float32)},
        {"embedding": numbered(1)[0]},
        {"embedding": numbered(0)},
        {"embedding": np.array([object()])},
        {"embedding": numbered(2), "laeq": np.zeros(2)},
        {"embedding": numbered(2), "laeq": np.zeros(3), "lafmax": np.zeros(3)},
    ],
    ids=["name", "type", "shape", "empty", "pickled", "half the levels", "levels of others"],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(InvalidError):
        EmbeddingSource(tmp_path / "e.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(InvalidError):
        EmbeddingSource(tmp_path / "e.npz")


def test_a_single_array_is_not_an_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", numbered(1))
    with pytest.raises(InvalidError):
        EmbeddingSource(tmp_path / "e.npy")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 9, (40, 10, 128), dtype=np.uint8)
    np.savez_compressed(tmp_path / "e.npz", embedding=noise)
    content = bytearray((tmp_path / "e.npz").read_bytes())
    content[2_000:2_100] = bytes(100)
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(InvalidError):
        EmbeddingSource(tmp_path / "e.npz")


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        EmbeddingSource(tmp_path / "e.npz")
