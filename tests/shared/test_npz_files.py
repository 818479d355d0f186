import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.npz_files import read_arrays


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


WHOLE = archive(a=np.arange(10), b=np.zeros(3))


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(WHOLE)
    assert read_arrays(tmp_path / "a.npz", ("a", "c")).keys() == {"a"}
    assert read_arrays(tmp_path / "a.npz")["a"].tolist() == list(range(10))
    with pytest.raises(UnavailableError):
        read_arrays(tmp_path / "none.npz")


def vast() -> bytes:
    """A header that promises more than any memory holds."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return buffer.getvalue()


def other_content() -> bytes:
    """A member that is named like an array and is none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.npy", b"no array")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"text", WHOLE[: len(WHOLE) // 2], archive(a=np.array([{}], dtype=object)), vast(), other_content()],
    ids=["empty", "text", "cut", "objects", "vast", "other content"],
)
def test_what_is_no_archive_is_invalid_and_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InvalidError, match=r"a\.npz"):
        read_arrays(tmp_path / "a.npz")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_damaged_nothing_but_our_errors_is_raised(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(WHOLE)
    for at, value in changes:
        raw[at] = value
    (tmp_path / "a.npz").write_bytes(raw)
    try:
        read_arrays(tmp_path / "a.npz")
    except EarwitnessError:
        return
