"""The published files of VGGish's weights, with their checksums."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a release.

    Attributes:
        name: file name, the last part of its address.
        sha256_head: first hexadecimal digits of its SHA-256. They detect damage and wrong files, but are too short
            against forgery, so the hub never executes anything in the file.
        max_bytes: largest accepted size, bytes.
    """

    name: str
    sha256_head: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """VGGish as published.

    Attributes:
        url: the address the files' names are appended to, without a slash at the end.
        network: state dict of the network.
        pca: parameters of the PCA.
    """

    url: str
    network: PublishedFile
    pca: PublishedFile


TORCHVGGISH: Final = PublishedRelease(
    url="https://github.com/harritaylor/torchvggish/releases/download/v0.1",
    network=PublishedFile("vggish-10086976.pth", "10086976", 320_000_000),
    pca=PublishedFile("vggish_pca_params-970ea276.pth", "970ea276", 1_000_000),
)
"""The official weights, converted for PyTorch. Source: torchvggish release v0.1; names carry the SHA-256."""
