"""The extractor that runs an ONNX file: on sensors too, without torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shared.audio import Waveform
from shared.backbones.manifest import BackboneManifest, read
from shared.backbones.runtime import onnxruntime
from shared.errors import InvalidError, UnavailableError
from shared.extractor import Sound, resample_clip
from shared.feature_space import Features, FeatureSpace, Floats

WINDOWS_AT_ONCE: Final = 40
"""Windows that pass the network together, which bounds its memory."""


class Backbone:
    """Extractor of a described feature space; see `shared.extractor.Extractor`.

    Args:
        path: the description; the model is beside it.
        threads: of the processor.

    Raises:
        Unavailable: a file cannot be opened.
        Invalid: the description is not understood, the model is not the file it names, or not of that shape.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.description: Final[BackboneManifest] = read(path)
        model = path.parent / self.description.model
        self._session = _session(_verified(model, self.description.sha256), model, threads)
        taken = self._session.get_inputs()
        if len(taken) != 1 or taken[0].type != "tensor(float)" or len(taken[0].shape) not in {1, 2}:
            raise InvalidError(f"{model} must take one input, float32 [n, {self.description.window}] or [window]")
        self._input = taken[0].name
        shape = taken[0].shape
        self._flat = len(shape) == 1
        self._at_once = 1 if self._flat or shape[0] == 1 else WINDOWS_AT_ONCE
        outputs = [one.name for one in self._session.get_outputs()]
        self._output = self.description.output or outputs[0]
        if self._output not in outputs:
            raise InvalidError(f"{model} has no output {self._output!r}; it has {', '.join(outputs)}")
        self._embed(np.zeros((1, self.description.window), np.float32))

    @property
    def space(self) -> FeatureSpace:
        """The feature space that is described."""
        return self.description.space

    def extract(self, waveform: Waveform, rate_hz: int) -> Features:
        """Features of one clip; arguments and errors as in the interface."""
        return self.space.check(self.extract_many([(waveform, rate_hz)])[0])

    def extract_many(self, clips: Sequence[Sound]) -> Features:
        """Features of many clips; arguments and errors as in the interface."""
        found = [self.space.quantise(self.values(*clip)) for clip in clips]
        return np.array(found, dtype=np.uint8).reshape(-1, *self.space.shape)

    def values(self, waveform: Waveform, rate_hz: int) -> Floats:
        """Features of one clip before quantisation, float32 [frames, dimension]; errors as of `extract`."""
        told = self.description
        clip = resample_clip(waveform, rate_hz, told.rate_hz)
        windows = np.lib.stride_tricks.sliding_window_view(clip, told.window)[:: told.hop]
        parts = [windows[at : at + self._at_once] for at in range(0, len(windows), self._at_once)]
        return np.concatenate([self._embed(np.ascontiguousarray(part)) for part in parts])

    def _embed(self, windows: Floats) -> Floats:
        wanted = (len(windows), self.description.dimension)
        try:
            (found,) = self._session.run([self._output], {self._input: windows[0] if self._flat else windows})
        except Exception as error:  # onnxruntime's own have no common base
            raise InvalidError(f"{self.space.id}: the model does not take {list(windows.shape)}: {error}") from error
        found = np.asarray(found, dtype=np.float32)
        if found.size != wanted[0] * wanted[1]:
            raise InvalidError(f"{self.space.id}: the model gave {list(found.shape)}, described is {list(wanted)}")
        if not np.isfinite(found).all():
            raise InvalidError(f"{self.space.id}: the model gave values that are not finite")
        return found.reshape(wanted)


def _verified(path: Path, sha256: str) -> bytes:
    try:
        model = path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error
    found = hashlib.sha256(model).hexdigest()
    if found != sha256:
        raise InvalidError(f"{path} has SHA-256 {found}, its description says {sha256}: an id stands for one file")
    return model


def _session(model: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common base
        raise InvalidError(f"{path} is not an ONNX model: {error}") from error
