"""Fixtures of the sensor's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, for a spool with thousands of transactions; on a disk where there is none."""
    memory = Path("/dev/shm")  # noqa: S108 - only where to put it; the folder's own name is random
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)
