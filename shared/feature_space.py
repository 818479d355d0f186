"""Feature spaces: the identity and numeric form of features, so that two spaces are never compared.

A feature space maps 10 seconds of audio to `frames` x `dimension` bytes. Every embedding, archived event, index and
checkpoint contains its id. Comparing features of different ids raises an error.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError, UnsupportedError

Features = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """The identity and numeric form of a feature space.

    Attributes:
        id: name and version, such as `vggish-pca-u8/1`.
        frames: time steps in one clip.
        dimension: values per frame.
        low: value of byte 0.
        high: value of byte 255.
    """

    id: str
    frames: int
    dimension: int
    low: float
    high: float

    @property
    def shape(self) -> tuple[int, int]:
        """Return the shape of one clip's features: (frames, dimension)."""
        return (self.frames, self.dimension)

    def check(self, features: npt.NDArray[np.generic]) -> Features:
        """Return the features unchanged if they are uint8 of this space's shape.

        Raises:
            InvalidError: another shape or dtype.
        """
        if features.dtype != np.uint8 or features.shape != self.shape:
            raise InvalidError(
                f"{self.id} wants uint8 {list(self.shape)}, got {features.dtype} {list(features.shape)}"
            )
        return features.view(np.uint8)

    def quantise(self, values: npt.NDArray[np.floating]) -> Features:
        """Map values (any shape) to bytes: clipped to [low, high], scaled to 0..255, rounded to nearest.

        Source: VGGish postprocessor (AudioSet release): 8-bit quantisation of PCA output in [-2, 2].
        """
        scaled = (np.clip(values, self.low, self.high) - self.low) * (255.0 / (self.high - self.low))
        return np.asarray(np.round(scaled), dtype=np.uint8)

    def dequantise(self, features: Features) -> Floats:
        """Map bytes (any shape) back to float32 values in [low, high]."""
        return features.astype(np.float32) * np.float32((self.high - self.low) / 255.0) + np.float32(self.low)


VGGISH: Final = FeatureSpace(id="vggish-pca-u8/1", frames=10, dimension=128, low=-2.0, high=2.0)
"""VGGish after the official PCA and 8-bit quantisation, one frame a second.

Source: the paper, section 5.1; AudioSet release of VGGish.
"""

LOGMEL: Final = FeatureSpace(id="logmel-22k-128/1", frames=108, dimension=128, low=-100.0, high=28.0)
"""Log-mel spectrogram in dB: 22,050 Hz, window 4096, hop 2048, 128 bands; about half a dB per step.

Source: the paper, section 5.1 ("108 x 128 feature vector").
"""

EARWITNESS_SMALL: Final = FeatureSpace(id="earwitness-small-u8/1", frames=10, dimension=128, low=-2.0, high=2.0)
"""The small backbone that ships: a network distilled from YAMNet, 8-bit quantised, about one frame a second.

Source: shared/backbones/earwitness-small.md.
"""

SHORT_NAMES: Final = {"vggish": VGGISH.id, "earwitness-small": EARWITNESS_SMALL.id, "logmel": LOGMEL.id}
"""Short names of the feature spaces that ship, for file names and the command line."""

SPACES: Final = {space.id: space for space in (VGGISH, LOGMEL, EARWITNESS_SMALL)}
"""Every known feature space; the program registers the user's own ones at its start."""


def register_space(space: FeatureSpace) -> None:
    """Register a feature space.

    Raises:
        InvalidError: another feature space has its id.
    """
    if SPACES.setdefault(space.id, space) != space:
        raise InvalidError(
            f"feature space {space.id!r} is {SPACES[space.id]} already; give yours another id or version"
        )


def get_space(space_id: str) -> FeatureSpace:
    """Return a feature space by its id.

    Raises:
        UnsupportedError: this version does not know the id.
    """
    try:
        return SPACES[space_id]
    except KeyError:
        raise UnsupportedError(f"unknown feature space {space_id!r}; known: {', '.join(SPACES)}") from None
