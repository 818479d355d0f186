"""The extractor that runs an ONNX file, on sensors and hubs, without torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.backbones.manifest import BackboneManifest, read
from shared.backbones.runtime import onnxruntime
from shared.errors import InvalidError, UnavailableError
from shared.extractor import Sound, resample_clip
from shared.feature_space import Features, FeatureSpace, Floats

Results = npt.NDArray[np.generic]
"""What a model gives: float32, or uint8 if it quantises by itself; [frames, dimension]."""
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
        _verify(model, self.description.sha256)
        self._session = _session(model, threads)
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
        features = [self._bytes(self._results(*clip)) for clip in clips]
        return np.array(features, dtype=np.uint8).reshape(-1, *self.space.shape)

    def values(self, waveform: Waveform, rate_hz: int) -> Floats:
        """Return one clip's features before quantisation, float32 [frames, dimension]; errors as in `extract`.

        A model that quantises by itself gives the values of its bytes.
        """
        found = self._results(waveform, rate_hz)
        return self.space.dequantise(self._bytes(found)) if found.dtype == np.uint8 else found.view(np.float32)

    def _bytes(self, found: Results) -> Features:
        return found.view(np.uint8) if found.dtype == np.uint8 else self.space.quantise(found.view(np.float32))

    def _results(self, waveform: Waveform, rate_hz: int) -> Results:
        """Return what the model gives for one clip, [frames, dimension]."""
        manifest = self.description
        clip = resample_clip(waveform, rate_hz, manifest.rate_hz)
        windows = np.lib.stride_tricks.sliding_window_view(clip, manifest.window)[:: manifest.hop]
        parts = [windows[at : at + self._at_once] for at in range(0, len(windows), self._at_once)]
        return np.concatenate([self._embed(np.ascontiguousarray(part)) for part in parts])

    def _embed(self, windows: Floats) -> Results:
        shape = (len(windows) * self.description.frames_per_window, self.description.dimension)
        try:
            (values,) = self._session.run([self._output], {self._input: windows[0] if self._flat else windows})
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise InvalidError(f"{self.space.id}: the model does not take {list(windows.shape)}: {error}") from error
        values = np.asarray(values)
        if values.dtype != np.uint8:
            values = values.astype(np.float32, copy=False)
        if values.size != shape[0] * shape[1]:
            raise InvalidError(
                f"{self.space.id}: the model returned {list(values.shape)}, its manifest states {list(shape)}"
            )
        if not np.isfinite(values).all():
            raise InvalidError(f"{self.space.id}: the model returned values that are not finite")
        return values.reshape(shape)


def _verify(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error
    if actual != sha256:
        raise InvalidError(
            f"{path} has SHA-256 {actual}, its manifest states {sha256}: restore the file, or give the changed model"
            " another id"
        )


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load the model by its path: a session that gets bytes keeps them, which is the size of the file once more."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InvalidError(f"{path} is not an ONNX model: {error}") from error
