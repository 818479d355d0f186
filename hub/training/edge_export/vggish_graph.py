"""VGGish as one ONNX graph: from the waveform of a clip to the bytes of its feature space.

1. Front end in double precision, as `FrontEnd`: short-time Fourier transform, mel bank, logarithm, ten patches.
2. The network in single precision, with the weights as they are.
3. PCA and 8-bit quantisation in double precision, as `Pca`: the fraction is cut off.

It needs the optional dependencies `export`.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
from torch import Tensor, nn

from hub.features.vggish.extractor import (
    BANDS,
    FFT,
    HOP,
    LOG_OFFSET,
    PATCH,
    RATE_HZ,
    WINDOW,
    FrontEnd,
    Pca,
    VggishNetwork,
)
from hub.training.onnx_graph import Graph
from shared.events import CLIP_S
from shared.feature_space import VGGISH

INPUT: Final = "waveform"
OUTPUT: Final = "embedding"
SAMPLES: Final = round(CLIP_S * RATE_HZ)
"""Samples of the input: a clip of 10 s."""
_USED: Final = (VGGISH.frames * PATCH - 1) * HOP + FFT
"""Samples that the transform of all patches takes."""


def vggish_model(network: VggishNetwork, pca: Pca, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return the model: waveform float32 [160000] at 16 kHz, full scale = 1.0, to embedding uint8 [10, 128].

    Args:
        network: network with its weights, float32.
        pca: the matching projection.
        metadata: properties to store in the model.
    """
    graph = Graph()
    patches = _front_end(graph)
    _quantised(graph, _network(graph, network, patches), pca)
    model = graph.model((INPUT, [SAMPLES]), (OUTPUT, list(VGGISH.shape)), onnx.TensorProto.UINT8)
    onnx.helper.set_model_props(model, dict(metadata))
    return model


def _front_end(graph: Graph) -> str:
    """Add the front end; return the name of the patches, float32 [10, 1, 96, 64]."""
    front_end = FrontEnd()
    window = np.zeros(FFT)
    window[:WINDOW] = front_end.window.numpy()
    value = graph.node("Slice", [INPUT, graph.whole([0]), graph.whole([_USED])])
    value = graph.node("Cast", [value], to=onnx.TensorProto.DOUBLE)
    value = graph.node("Unsqueeze", [value, graph.whole([0, 2])])
    value = graph.node("STFT", [value, graph.whole(HOP), graph.double(window), graph.whole(FFT)], onesided=1)
    value = graph.node("Sqrt", [graph.node("ReduceSumSquare", [value, graph.whole([3])], keepdims=0)])
    value = graph.node("MatMul", [value, graph.double(front_end.bank.numpy())])
    value = graph.node("Log", [graph.node("Add", [value, graph.double(np.array(LOG_OFFSET))])])
    value = graph.node("Cast", [value], to=onnx.TensorProto.FLOAT)
    return graph.node("Reshape", [value, graph.whole([VGGISH.frames, 1, PATCH, BANDS])])


def _network(graph: Graph, network: VggishNetwork, patches: str) -> str:
    """Add the network layer by layer; return the name of the raw embeddings, float32 [10, 128]."""
    value = patches
    for layer in network.features:
        value = _layer(graph, layer, value)
    value = graph.node("Transpose", [value], perm=[0, 2, 3, 1])
    value = graph.node("Flatten", [value], axis=1)
    for layer in network.embeddings:
        value = _layer(graph, layer, value)
    return value


def _layer(graph: Graph, layer: nn.Module, value: str) -> str:
    match layer:
        case nn.Conv2d(weight=weight, bias=Tensor() as bias):
            return graph.node("Conv", [value, _single(graph, weight), _single(graph, bias)], pads=[1] * 4)
        case nn.Linear(weight=weight, bias=bias):
            return graph.node("Gemm", [value, _single(graph, weight), _single(graph, bias)], transB=1)
        case nn.MaxPool2d():
            return graph.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
        case nn.ReLU():
            return graph.node("Relu", [value])
    raise TypeError(f"VGGish has no layer {type(layer).__name__}")


def _single(graph: Graph, tensor: Tensor) -> str:
    return graph.single(tensor.detach().numpy())


def _quantised(graph: Graph, raw: str, pca: Pca) -> None:
    value = graph.node("Cast", [raw], to=onnx.TensorProto.DOUBLE)
    value = graph.node("Sub", [value, graph.double(pca.means)])
    value = graph.node("MatMul", [value, graph.double(pca.vectors.T)])
    value = graph.node("Clip", [value, graph.double(np.array(VGGISH.low)), graph.double(np.array(VGGISH.high))])
    value = graph.node("Sub", [value, graph.double(np.array(VGGISH.low))])
    value = graph.node("Mul", [value, graph.double(np.array(255.0 / (VGGISH.high - VGGISH.low)))])
    graph.node("Cast", [value], to=onnx.TensorProto.UINT8, name=OUTPUT)
