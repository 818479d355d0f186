"""The teacher: any network that tags sound, as an ONNX file with a description (`description`).

The product contains no part of it; its outputs are the training target of our network.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.features.vggish.extractor import BANDS, PATCH
from hub.training.distillation.onnx_export import SECONDS
from hub.training.distillation.student import WIDTH
from hub.training.distillation.teacher_manifest import TeacherDescription, columns, read
from shared.backbones.runtime import onnxruntime
from shared.errors import InvalidError, UnavailableError
from shared.taxonomy import CATEGORIES

Floats = npt.NDArray[np.float32]

_AT_ONCE: Final = 64
"""Inputs that pass the network together, if it takes several."""
_LEAST: Final = 1e-7
"""Smallest distance of probabilities from 0 and 1 before conversion to log-odds."""
_PROBE: Final = 0.1
"""Standard deviation of the noise that a teacher processes first, so that its output can be checked."""


class Teacher:
    """Embeds and tags frames of 0.98 s.

    Args:
        path: file of the description; the model is in the same folder.
        threads: number of threads.

    Attributes:
        description: its inputs and outputs.
        classes: names of its classes.
        dimension: values of its embedding.
        sha256: of its ONNX file.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: the description cannot be read, or the model differs from it.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        self.description: Final[TeacherDescription] = read(path)
        manifest = self.description
        self.classes: Final = tuple(manifest.classes)
        self._columns = columns(manifest)
        self._file = path.parent / manifest.model
        model = _read(self._file)
        self.sha256: Final = hashlib.sha256(model).hexdigest()
        if manifest.sha256 not in {None, self.sha256}:
            raise InvalidError(f"{self._file} has SHA-256 {self.sha256}, its description states {manifest.sha256}")
        self._session = _session(model, self._file, threads)
        self._input, self._at_once, self._flat = self._takes()
        self._check_outputs()
        noise = np.random.default_rng(0).normal(0.0, _PROBE, (1, *self.frame_shape)).astype(np.float32)
        self.dimension: Final = int(self.predict(noise)[0].shape[1])
        if self.dimension < WIDTH:
            raise InvalidError(
                f"{self._file}: embedding {manifest.embedding!r} has {self.dimension} values; a student needs"
                f" at least {WIDTH}: name an output with more, such as the layer before"
            )

    @property
    def rate_hz(self) -> int | None:
        """Return the sample rate of the sound that it takes; None if it takes log-mel patches."""
        return self.description.rate_hz

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Return the shape of one frame as `predict` takes it."""
        return (PATCH, BANDS) if self.rate_hz is None else (round(SECONDS * self.rate_hz),)

    def predict(self, frames: Floats) -> tuple[Floats, Floats]:
        """Compute embedding and classes of frames.

        A frame is repeated to fill a longer window. With shorter windows the embedding is their mean and the score of
        a class is its highest one.

        Args:
            frames: float32 [n, 96, 64], log(mel magnitude + 0.001), or float32 [n, samples] of sound; as
                `frame_shape`.

        Returns:
            Embeddings float32 [n, dimension], and log-odds of the classes, float32 [n, classes].

        Raises:
            InvalidError: the model does not take this, or gives something else than is described.
        """
        windows = self._windows(frames)
        count, per_frame = windows.shape[:2]
        flat = windows.reshape(-1, *windows.shape[2:])
        parts = [self._run(flat[at : at + self._at_once]) for at in range(0, len(flat), self._at_once)]
        if not parts:
            empty = self.dimension, len(self.classes)
            return np.empty((0, empty[0]), np.float32), np.empty((0, empty[1]), np.float32)
        embeddings, odds = (np.concatenate(column) for column in zip(*parts, strict=True))
        return (
            embeddings.reshape(count, per_frame, -1).mean(axis=1),
            odds.reshape(count, per_frame, -1).max(axis=1),
        )

    def categories(self, odds: npt.NDArray[np.floating]) -> Floats:
        """Scores of the eight categories, float32 [n, 8]: of each the highest of its classes, else 0.

        Args:
            odds: floating [n, classes], log-odds.
        """
        scores = probabilities(odds)
        found = np.zeros((len(scores), len(CATEGORIES)), np.float32)
        for category, name in enumerate(CATEGORIES):
            if self._columns[name]:
                found[:, category] = scores[:, self._columns[name]].max(axis=1)
        return found

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the categories for which it has no class."""
        return tuple(name for name, of in self._columns.items() if not of)

    def _windows(self, frames: Floats) -> Floats:
        """Return the input of the network: float32 [n, windows of a frame, ...]."""
        manifest = self.description
        if manifest.window is None:
            return frames[:, None]
        if manifest.window >= frames.shape[1]:
            times = -(-manifest.window // frames.shape[1])
            return np.tile(frames, (1, times))[:, None, : manifest.window]
        hop = manifest.hop or manifest.window
        return np.lib.stride_tricks.sliding_window_view(frames, manifest.window, axis=1)[:, ::hop]

    def _run(self, inputs: Floats) -> tuple[Floats, Floats]:
        manifest = self.description
        taken = np.ascontiguousarray(inputs[0] if self._flat else inputs)
        try:
            found = self._session.run([manifest.embedding, manifest.scores], {self._input: taken})
        except Exception as error:  # onnxruntime's own have no common base
            raise InvalidError(f"{self._file} does not take {list(taken.shape)}: {error}") from error
        embeddings, scores = (np.asarray(one, np.float32) for one in found)
        if scores.size != len(inputs) * len(self.classes):
            raise InvalidError(
                f"{self._file}: scores {manifest.scores!r} are {list(scores.shape)} of {len(inputs)} inputs; the"
                f" description names {len(self.classes)} classes"
            )
        if embeddings.size % len(inputs) or not (np.isfinite(embeddings).all() and np.isfinite(scores).all()):
            raise InvalidError(
                f"{self._file}: embedding {manifest.embedding!r} or scores are not finite, or not one an input"
            )
        return embeddings.reshape(len(inputs), -1), self._odds(scores.reshape(len(inputs), -1))

    def _odds(self, scores: Floats) -> Floats:
        if self.description.scores_are == "log-odds":
            return scores
        if float(scores.min()) < 0.0 or float(scores.max()) > 1.0:
            raise InvalidError(
                f"{self._file}: scores {self.description.scores!r} are {scores.min():.3g} to {scores.max():.3g}"
                ' and no probabilities; if they are logits, set scores_are = "log-odds"'
            )
        certain = np.clip(scores, _LEAST, 1.0 - _LEAST)
        return np.asarray(np.log(certain / (1.0 - certain)), np.float32)

    def _takes(self) -> tuple[str, int, bool]:
        """Name of the input, how many it takes at once, and whether it is without a batch."""
        manifest, taken = self.description, self._session.get_inputs()
        one = [PATCH, BANDS] if manifest.window is None else [manifest.window]
        wanted = f"{manifest.takes}: one input, float32 [n, {', '.join(map(str, one))}]"
        if len(taken) != 1 or taken[0].type != "tensor(float)":
            given = ", ".join(f"{each.name} {each.type} {each.shape}" for each in taken)
            raise InvalidError(f"{self._file} must take {wanted}; it takes {given}")
        shape: Sequence[Any] = taken[0].shape
        flat = len(shape) == len(one)
        if not (flat or len(shape) == len(one) + 1) or not _fits(shape[-len(one) :], one):
            raise InvalidError(f"{self._file} must take {wanted}; it takes {taken[0].name} {shape}")
        return taken[0].name, 1 if flat or shape[0] == 1 else _AT_ONCE, flat

    def _check_outputs(self) -> None:
        names = [output.name for output in self._session.get_outputs()]
        for field in ("embedding", "scores"):
            if (name := getattr(self.description, field)) not in names:
                raise InvalidError(f"{self._file} has no output {name!r} ({field}); it has {', '.join(names)}")


def probabilities(odds: npt.NDArray[np.floating]) -> Floats:
    """Probabilities, float32, of log-odds of any shape."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds.astype(np.float32))), dtype=np.float32)


def _fits(shape: Sequence[Any], wanted: Sequence[int]) -> bool:
    """Return whether sizes that are known are those that are wanted."""
    return all(not isinstance(size, int) or size == want for size, want in zip(shape, wanted, strict=True))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"cannot open {path}: {error.strerror or error}") from error


def _session(model: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common base
        raise InvalidError(f"{path} is not an ONNX model: {error}") from error
