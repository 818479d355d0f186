"""Write ONNX graphs node by node."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[np.generic]

OPSET: Final = 20
IR_VERSION: Final = 9
"""ONNX Runtime 1.17, of 2024, knows both."""


class Graph:
    """Nodes and constants in the order they are named.

    Args:
        prefix: of the names that are made up here; another one for each part of a graph.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        # The only place of the constants: a network may have hundreds of megabytes.
        self._model = onnx.helper.make_model(
            onnx.helper.make_graph([], "earwitness", [], []),
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            producer_name="earwitness",
        )
        self._model.ir_version = IR_VERSION

    def node(self, kind: str, inputs: list[str], name: str | None = None, **attributes: int | list[int]) -> str:
        """Add an operation; returns the name of what it gives."""
        name = name or f"{self._prefix}{kind.lower()}-{len(self._model.graph.node)}"
        node = onnx.helper.make_node(kind, inputs, [name])
        node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self._model.graph.node.append(node)
        return name

    def whole(self, value: int | list[int]) -> str:
        """Add whole numbers, int64; returns their name."""
        return self._constant(np.array(value, dtype=np.int64))

    def single(self, value: Array) -> str:
        """Add numbers as float32; returns their name."""
        return self._constant(value.astype(np.float32, copy=False))

    def double(self, value: Array) -> str:
        """Add numbers as float64; returns their name."""
        return self._constant(value.astype(np.float64))

    def half(self, value: Array) -> str:
        """Store as float16, use as float32; ONNX Runtime converts once, when it loads."""
        stored = self._constant(value.astype(np.float16))
        return self.node("Cast", [stored], to=onnx.TensorProto.FLOAT)

    def model(
        self,
        given: tuple[str, Sequence[str | int]],
        result: tuple[str, Sequence[str | int]],
        kind: int = onnx.TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        """Return the graph as a model, checked; call it once.

        Args:
            given: name and shape of the input, float32.
            result: name and shape of the output.
            kind: data type of the output.

        Raises:
            onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the graph is not valid.
        """
        graph = self._model.graph
        graph.input.append(onnx.helper.make_tensor_value_info(given[0], onnx.TensorProto.FLOAT, given[1]))
        graph.output.append(onnx.helper.make_tensor_value_info(result[0], kind, result[1]))
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def append_to(self, model: onnx.ModelProto) -> None:
        """Add these nodes to the end of another graph; names must be others than there."""
        model.graph.node.extend(self._model.graph.node)
        model.graph.initializer.extend(self._model.graph.initializer)

    def _constant(self, value: Array) -> str:
        name = f"{self._prefix}constant-{len(self._model.graph.initializer)}"
        self._model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return name
