"""Read numpy arrays from .npz files. Nothing in a file is executed, and a damaged file raises a clear error."""

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError, UnavailableError
from shared.paths import printable

_FAULTS = (ValueError, EOFError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError, zlib.error)


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Read arrays from an .npz file; pickled objects are rejected.

    Args:
        path: path of the file.
        names: names of the arrays to read if they exist; all if None.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: not an .npz file, or a damaged one.
    """
    name = printable(path)
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InvalidError(f"{name} is not an .npz file")
            arrays = {member: archive[member] for member in archive.files if names is None or member in names}
    except (*_FAULTS, zipfile.BadZipFile) as error:
        raise InvalidError(f"{name} is not a readable .npz file: {error}") from error
    except OSError as error:
        raise UnavailableError(f"cannot open {name}: {error.strerror or error}") from error
    for member, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy returns the bytes of a member that is not an array
            raise InvalidError(f"{name} is not a readable .npz file: {printable(member)} is not an array")
    return arrays
