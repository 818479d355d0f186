"""Bringing VGGish's published weights into the form the hub loads: two safetensors files."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from hub.audio.vggish import NETWORK_FILE, PCA_FILE, Pca, VggishNetwork
from shared.errors import Invalid, Unavailable

NETWORK_SHA256: Final = "10086976"
"""How the SHA-256 of the published network begins. Source: torchvggish release v0.1, the file's name."""
PCA_SHA256: Final = "970ea276"
"""How the SHA-256 of the published PCA parameters begins. Source: as above."""


def import_weights(network_file: Path, pca_file: Path, into: Path) -> tuple[Path, Path]:
    """Verify and convert the two published files.

    Args:
        network_file: `vggish-10086976.pth`.
        pca_file: `vggish_pca_params-970ea276.pth`.
        into: directory for the result; created if missing.

    Returns:
        The two files written.

    Raises:
        Invalid: a file is not the published one.
        Unavailable: a file cannot be read or written.
    """
    network = _published(network_file, NETWORK_SHA256)
    parameters = _published(pca_file, PCA_SHA256)
    return convert(network, parameters, into)


def convert(network: Mapping[str, Tensor], parameters: Mapping[str, Tensor], into: Path) -> tuple[Path, Path]:
    """Write a network's state dict and PCA parameters as the hub loads them.

    Args:
        network: tensors named as in torchvggish.
        parameters: `pca_eigen_vectors` [128, 128] and `pca_means` [128] or [128, 1].
        into: directory for the result; created if missing.

    Returns:
        The two files written.

    Raises:
        Invalid: tensors are missing or of another shape.
        Unavailable: a file cannot be written.
    """
    with torch.device("meta"):
        expected = VggishNetwork().state_dict()
    if {name: t.shape for name, t in network.items()} != {name: t.shape for name, t in expected.items()}:
        raise Invalid("the network file does not hold VGGish's tensors")
    try:
        vectors = torch.as_tensor(parameters["pca_eigen_vectors"])
        means = torch.as_tensor(parameters["pca_means"]).reshape(-1)
    except KeyError as error:
        raise Invalid(f"the PCA file has no {error}") from error
    Pca(vectors.numpy(), means.numpy())
    written = (into / NETWORK_FILE, into / PCA_FILE)
    try:
        into.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in network.items()}, written[0])
        save_file({"pca_eigen_vectors": vectors.contiguous(), "pca_means": means.contiguous()}, written[1])
    except (OSError, SafetensorError) as error:
        raise Unavailable(f"cannot write VGGish's weights to {into}: {error}") from error
    return written


def _published(path: Path, head: str) -> dict[str, Tensor]:
    """Read a .pth file whose SHA-256 begins as its publisher says, without running code from it."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unavailable(f"cannot open {path}: {error.strerror}") from error
    if not digest.startswith(head):
        raise Invalid(f"{path} is not the published file: its SHA-256 begins {digest[:8]}, not {head}")
    # numpy arrays, which the PCA file may hold, are data: allow their reconstruction, nothing else.
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        np.ndarray,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
        _reconstruct(),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise Invalid(f"{path} does not hold a dictionary of tensors")
    return loaded


def _reconstruct() -> Callable[..., Any]:
    """What numpy arrays are unpickled with, wherever this numpy keeps it."""
    return cast("Callable[..., Any]", np.zeros(0).__reduce__()[0])
