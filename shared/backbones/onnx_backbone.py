"""The extractor that runs an ONNX file, on sensors and hubs, without torch."""

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
"""Windows in one call of the network; this bounds its memory."""


class Backbone:
    """The feature extractor of a manifest; see `shared.extractor.FeatureExtractor`.

    Args:
        path: path of the manifest; the model is in the same folder.
        threads: number of CPU threads.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: the manifest is invalid, the model has another checksum, or its input or output another shape.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.description: Final[BackboneManifest] = read(path)
        model = path.parent / self.description.model
        self._session = _session(_verified(model, self.description.sha256), model, threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) not in {1, 2}:
            raise InvalidError(f"{model} must take one input, float32 [n, {self.description.window}] or [window]")
        self._input = inputs[0].name
        shape = inputs[0].shape
        self._flat = len(shape) == 1
        self._at_once = 1 if self._flat or shape[0] == 1 else WINDOWS_AT_ONCE
        outputs = [output.name for output in self._session.get_outputs()]
        self._output = self.description.output or outputs[0]
        if self._output not in outputs:
            raise InvalidError(f"{model} has no output {self._output!r}; it has {', '.join(outputs)}")
        self._embed(np.zeros((1, self.description.window), np.float32))

    @property
    def space(self) -> FeatureSpace:
        """Return the feature space of the manifest."""
        return self.description.space

    def extract(self, waveform: Waveform, rate_hz: int) -> Features:
        """Return the features of one clip; arguments and errors as in the protocol."""
        return self.space.check(self.extract_many([(waveform, rate_hz)])[0])

    def extract_many(self, clips: Sequence[Sound]) -> Features:
        """Return the features of many clips; arguments and errors as in the protocol."""
        features = [self.space.quantise(self.values(*clip)) for clip in clips]
        return np.array(features, dtype=np.uint8).reshape(-1, *self.space.shape)

    def values(self, waveform: Waveform, rate_hz: int) -> Floats:
        """Return one clip's features before quantisation, float32 [frames, dimension]; errors as in `extract`."""
        manifest = self.description
        clip = resample_clip(waveform, rate_hz, manifest.rate_hz)
        windows = np.lib.stride_tricks.sliding_window_view(clip, manifest.window)[:: manifest.hop]
        parts = [windows[at : at + self._at_once] for at in range(0, len(windows), self._at_once)]
        return np.concatenate([self._embed(np.ascontiguousarray(part)) for part in parts])

    def _embed(self, windows: Floats) -> Floats:
        shape = (len(windows), self.description.dimension)
        try:
            (values,) = self._session.run([self._output], {self._input: windows[0] if self._flat else windows})
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise InvalidError(f"{self.space.id}: the model does not take {list(windows.shape)}: {error}") from error
        values = np.asarray(values, dtype=np.float32)
        if values.size != shape[0] * shape[1]:
            raise InvalidError(
                f"{self.space.id}: the model returned {list(values.shape)}, its manifest states {list(shape)}"
            )
        if not np.isfinite(values).all():
            raise InvalidError(f"{self.space.id}: the model returned values that are not finite")
        return values.reshape(shape)


def _verified(path: Path, sha256: str) -> bytes:
    try:
        model = path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error
    actual = hashlib.sha256(model).hexdigest()
    if actual != sha256:
        raise InvalidError(
            f"{path} has SHA-256 {actual}, its manifest states {sha256}: restore the file, or give the changed model"
            " another id"
        )
    return model


def _session(model: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InvalidError(f"{path} is not an ONNX model: {error}") from error
