"""A trained student as the feature space that ships: front end and network in one ONNX file, and its description.

1. The front end is in the graph (short-time Fourier transform, mel bank, logarithm), so that a sensor needs nothing
   but numpy and ONNX Runtime.
2. Batch normalisation is folded into the convolutions; weights are stored as float16 and computed in float32.
3. Each of the 128 values is scaled so that its range over mixtures fits a byte: by the root of its deviation, so that
   strong components stay stronger than weak ones.
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch

from hub.features.vggish.extractor import FFT, HOP, PATCH, RATE_HZ, WINDOW, FrontEnd
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.student import CENTRE, LAYERS, SPREAD, WIDTH, Student
from hub.training.onnx_graph import Graph
from shared.backbones.manifest import BackboneManifest, read, write
from shared.backbones.onnx_backbone import Backbone
from shared.backbones.runtime import onnxruntime
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, Features, FeatureSpace

SAMPLES: Final = (PATCH - 1) * HOP + FFT
"""Samples of one frame; the last 112 do not affect the result, but the transform needs them."""
SECONDS: Final = SAMPLES / RATE_HZ
"""Length of one frame."""
REACH: Final = 4.0
"""Deviations of a typical component that fit in the range."""
_PATCHES: Final = 256
"""Patches that pass the network together."""


def scales(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Factor of each value: float32 [128], from embeddings of mixtures, float32 [n, 128]."""
    root = np.sqrt(embeddings.std(axis=0))
    return np.asarray(EARWITNESS_SMALL.high / (REACH * root * root.mean()), dtype=np.float32)


def export(
    student: Student, factors: npt.NDArray[np.float32], into: Path, space: FeatureSpace = EARWITNESS_SMALL
) -> Path:
    """Write the ONNX file and its description.

    Args:
        student: in eval mode.
        factors: float32 [128], as `scales` gives them.
        into: directory.
        space: the feature space, ten frames of 128 values.

    Returns:
        The description.

    Raises:
        UnavailableError: a file cannot be written.
    """
    graph = Graph()
    value = front_end(graph)
    value = graph.node("Sub", [value, graph.single(np.array([CENTRE]))])
    value = graph.node("Div", [value, graph.single(np.array([SPREAD]))])
    value = graph.node("Unsqueeze", [value, graph.whole([1])])
    for (weight, bias), (_, kernel, stride) in zip(student.folded(), LAYERS, strict=True):
        tensors = [graph.half(weight.numpy()), graph.half(bias.numpy())]
        value = graph.node("Conv", [value, *tensors], strides=[stride, stride], pads=[kernel // 2] * 4)
        value = graph.node("Relu", [value])
    value = graph.node("ReduceMean", [value, graph.whole([2, 3])], keepdims=0)
    with torch.no_grad():
        last = (student.embedding.weight.numpy() * factors[:, None], student.embedding.bias.numpy() * factors)
    graph.node("Gemm", [value, graph.half(last[0]), graph.half(last[1])], transB=1, name="embedding")
    model = graph.model(("sound", ["frames", SAMPLES]), ("embedding", ["frames", WIDTH]))
    return written(model, into, space)


def written(model: onnx.ModelProto, into: Path, space: FeatureSpace) -> Path:
    """Write a network that takes `SAMPLES` a frame and its description, both named after the feature space.

    Returns:
        The description.

    Raises:
        UnavailableError: a file cannot be written.
    """
    document = model.SerializeToString()
    file = description_file(into, space).with_suffix(".onnx")
    described = BackboneManifest(
        id=space.id,
        model=file.name,
        sha256=hashlib.sha256(document).hexdigest(),
        rate_hz=RATE_HZ,
        window=SAMPLES,
        hop=PATCH * HOP,
        dimension=space.dimension,
        low=space.low,
        high=space.high,
    )
    try:
        into.mkdir(parents=True, exist_ok=True)
        file.write_bytes(document)
        write(file.with_suffix(".toml"), described)
    except OSError as error:
        raise UnavailableError(f"cannot write to {into}: {error.strerror or error}") from error
    return file.with_suffix(".toml")


def description_file(into: Path, space: FeatureSpace) -> Path:
    """Return the path at which `written` puts the description."""
    return into / f"{space.id.partition('/')[0].removesuffix('-u8')}.toml"


def front_end(graph: Graph) -> str:
    """Add YAMNet's front end, from `sound` to log-mel patches, float32 [frames, 96, 64].

    Returns:
        Name of the patches.
    """
    filters = FrontEnd(OFFSET)
    window = np.zeros(FFT, np.float32)
    window[:WINDOW] = filters.window.numpy()
    value = graph.node("Unsqueeze", ["sound", graph.whole([2])])
    transform = [graph.whole(HOP), graph.single(window), graph.whole(FFT)]
    value = graph.node("STFT", [value, *transform], onesided=1)
    value = graph.node("ReduceL2", [value, graph.whole([3])], keepdims=0)
    value = graph.node("MatMul", [value, graph.single(filters.bank.numpy())])
    return graph.node("Log", [graph.node("Add", [value, graph.single(np.array([OFFSET]))])])


class PatchEmbedder:
    """The network of an exported file without its front end: features of log-mel patches.

    Args:
        description: as `export` wrote it, the file beside it.
        threads: of the processor.

    Raises:
        UnavailableError: a file cannot be opened.
        InvalidError: a file that `export` did not write.
    """

    def __init__(self, description: Path, threads: int = 2) -> None:
        self._space = Backbone(description).space  # the file is the one that is described
        model = onnx.load(description.parent / read(description).model)
        logarithms = [node.output[0] for node in model.graph.node if node.op_type == "Log"]
        if len(logarithms) != 1 or self._space.shape != EARWITNESS_SMALL.shape:
            raise InvalidError(f"{description} does not describe a network that distil made")
        given = [output.name for output in model.graph.output]
        taken = onnx.helper.make_tensor_value_info(
            logarithms[0], onnx.TensorProto.FLOAT, ["patches", PATCH, FrontEnd().bank.shape[1]]
        )
        model.graph.value_info.append(taken)
        network = onnx.utils.Extractor(model).extract_model(logarithms, given)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = logarithms[0]

    @property
    def space(self) -> FeatureSpace:
        """The feature space."""
        return self._space

    def __call__(self, patches: npt.NDArray[np.float32]) -> Features:
        """Features uint8 [n, 128] of log-mel patches float32 [n, 96, 64]."""
        parts = [self._run(patches[at : at + _PATCHES]) for at in range(0, len(patches), _PATCHES)]
        return self._space.quantise(np.concatenate([np.empty((0, WIDTH), np.float32), *parts]))

    def _run(self, patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        (found,) = self._session.run(None, {self._input: patches})
        return np.asarray(found, dtype=np.float32)
