"""Files of numpy arrays (.npz), read one way: nothing in them is executed, and no fault of one is a crash."""

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
    """Read arrays from an .npz file; pickled objects are refused.

    Args:
        path: of the file.
        names: of the arrays that are read if they are there; all if None.

    Raises:
        Unavailable: the file cannot be opened.
        Invalid: not an .npz file, or a damaged one.
    """
    name = printable(path)
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise InvalidError(f"{name} is not an .npz file")
            found = {one: arrays[one] for one in arrays.files if names is None or one in names}
    except (*_FAULTS, zipfile.BadZipFile) as error:
        raise InvalidError(f"{name} is not a readable .npz file: {error}") from error
    except OSError as error:
        raise UnavailableError(f"cannot open {name}: {error.strerror or error}") from error
    for one, array in found.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of a member that is no array
            raise InvalidError(f"{name} is not a readable .npz file: {printable(one)} is not an array")
    return found
