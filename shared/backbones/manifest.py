"""The manifest of a backbone: a small TOML file in the folder of its ONNX file.

    id = "yamnet-u8/1"            # name and version; identifies exactly this file
    model = "yamnet.onnx"         # ONNX file in the same folder
    sha256 = "..."                # checksum of the ONNX file
    rate_hz = 16000               # sample rate of the input
    window = 15600                # samples of one window
    hop = 15360                   # samples between the starts of two windows
    frames_per_window = 1         # frames that one window gives, if not one
    dimension = 1024              # values per frame
    low = 0.0                     # value of byte 0 after quantisation
    high = 4.0                    # value of byte 255
    output = "embedding"          # name of the output, if not the first

The model takes windows of audio, float32 [n, window] or one at a time as [1, window] or [window], full scale = 1.0.
It returns [n * frames_per_window, dimension]: float32, or uint8 if it quantises by itself.
"""

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import InvalidError
from shared.events import CLIP_S
from shared.feature_space import FeatureSpace
from shared.text_files import read_toml

ID: Final = r"^[a-z0-9][a-z0-9._-]{0,54}/[0-9]{1,4}$"
"""Pattern of a feature space's id: a name and a version."""


class BackboneManifest(BaseModel):
    """The input and output of a backbone.

    Attributes:
        id: id of its feature space.
        model: name of the ONNX file, in the folder of the manifest.
        sha256: checksum of the ONNX file, hexadecimal.
        rate_hz: sample rate of the input in Hz.
        window: samples of one window.
        hop: samples between the starts of two windows.
        frames_per_window: frames that the model returns for one window.
        dimension: values per frame.
        low: value of byte 0 after quantisation.
        high: value of byte 255 after quantisation.
        output: name of the output; the first if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=ID)
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rate_hz: int = Field(ge=1_000, le=384_000)
    window: int = Field(ge=1)
    hop: int = Field(ge=1)
    frames_per_window: int = Field(default=1, ge=1)
    dimension: int = Field(ge=1, le=4096)
    low: float
    high: float
    output: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "BackboneManifest":
        if self.window > CLIP_S * self.rate_hz:
            raise ValueError(f"a window of {self.window} samples is longer than a clip of {CLIP_S} s")
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.frames * self.dimension > 1 << 16:
            raise ValueError(f"{self.frames} x {self.dimension} bytes a clip are over the cap of 65536")
        return self

    @property
    def frames(self) -> int:
        """Return the number of frames in one clip: those of the windows that fit."""
        windows = 1 + (int(CLIP_S * self.rate_hz) - self.window) // self.hop
        return windows * self.frames_per_window

    @property
    def space(self) -> FeatureSpace:
        """Return the feature space."""
        return FeatureSpace(self.id, self.frames, self.dimension, self.low, self.high)


def read(path: Path) -> BackboneManifest:
    """Read a manifest.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: the file is not TOML, or a field is missing, unknown or outside its range.
    """
    try:
        return BackboneManifest.model_validate(read_toml(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'description'}: {e['msg']}" for e in error.errors())
        raise InvalidError(f"{path}: {faults}") from error


def write(path: Path, description: BackboneManifest) -> None:
    """Write a manifest that `read` can read."""
    fields = description.model_dump(exclude_none=True, exclude_defaults=True)
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items()]
    path.write_text("".join(lines), encoding="utf-8")
