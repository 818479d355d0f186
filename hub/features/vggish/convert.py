"""Conversion of VGGish's published weights to two safetensors files that name their origin."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hub.features.vggish.extractor import NETWORK_FILE, PCA_FILE, Pca, VggishNetwork
from shared.errors import InvalidError, UnavailableError

_ORIGIN: Final = "origin_sha256"


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal.

    Raises:
        UnavailableError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror}") from error


def published_metadata(path: Path) -> str:
    """Return the SHA-256 of the published file that a converted one was made from; "" if there is no such file."""
    try:
        with safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get(_ORIGIN, ""))
    except (OSError, SafetensorError):
        return ""


def read_published(path: Path) -> dict[str, Any]:
    """Read a `.pth` file without running code from it.

    Returns:
        Tensors, or numpy arrays in the PCA's file, by name.

    Raises:
        InvalidError: the file is not a `.pth` file, or it contains code.
    """
    try:
        with torch.serialization.safe_globals(_numpy_arrays()):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise InvalidError(f"{path} cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise InvalidError(f"{path} does not hold a dictionary of tensors")
    return loaded


def write_network(tensors: Mapping[str, Any], into: Path, origin_sha256: str) -> Path:
    """Write the network's weights as the hub loads them, complete or not at all.

    Args:
        tensors: the state dict, named as in torchvggish.
        into: directory for the result; created if missing.
        origin_sha256: SHA-256 of the published file.

    Returns:
        The file written.

    Raises:
        InvalidError: tensors are missing or of another shape.
        UnavailableError: the file cannot be written.
    """
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in VggishNetwork().state_dict().items()}
    if {name: getattr(tensor, "shape", None) for name, tensor in tensors.items()} != expected:
        raise InvalidError("the network file does not hold VGGish's tensors")
    return _write({name: tensor.float() for name, tensor in tensors.items()}, into / NETWORK_FILE, origin_sha256)


def write_pca(parameters: Mapping[str, Any], into: Path, origin_sha256: str) -> Path:
    """Write the PCA's parameters as the hub loads them, complete or not at all.

    Args:
        parameters: `pca_eigen_vectors` [128, 128] and `pca_means` [128] or [128, 1], tensors or numpy arrays.
        into: directory for the result; created if missing.
        origin_sha256: SHA-256 of the published file.

    Returns:
        The file written.

    Raises:
        InvalidError: parameters are missing, not finite or of another shape.
        UnavailableError: the file cannot be written.
    """
    try:
        vectors = torch.as_tensor(parameters["pca_eigen_vectors"])
        means = torch.as_tensor(parameters["pca_means"]).reshape(-1)
    except KeyError as error:
        raise InvalidError(f"the PCA file has no {error}") from error
    Pca(vectors.numpy(), means.numpy())
    return _write({"pca_eigen_vectors": vectors, "pca_means": means}, into / PCA_FILE, origin_sha256)


def _write(tensors: Mapping[str, Tensor], path: Path, origin_sha256: str) -> Path:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, part, metadata={_ORIGIN: origin_sha256})
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise UnavailableError(f"cannot write {path}: {error}") from error
    return path


def _numpy_arrays() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return the types that unpickling numpy arrays needs; numpy 1 wrote another name than numpy 2."""
    reconstruct = cast("Callable[..., Any]", np.zeros(0).__reduce__()[0])
    return [
        np.ndarray,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
    ]
