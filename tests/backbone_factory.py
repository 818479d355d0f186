"""Backbones as a user would bring them: tiny ONNX files that give the mean and the peak of each window."""

import hashlib
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto, helper

from shared.backbones.manifest import BackboneManifest, write

WINDOW: Final = 4_000
HOP: Final = 8_000


def write_backbone(
    folder: Path, name: str = "mine", shape: tuple[str | int, ...] = ("n", WINDOW), **other: object
) -> Path:
    """Write a backbone of two values, mean and peak of half a second of each second at 8 kHz.

    Args:
        folder: where to.
        name: of its files and its id.
        shape: of what it takes.
        other: fields of the description that are to be different.

    Returns:
        The description.
    """
    model = folder / f"{name}.onnx"
    model.write_bytes(mean_and_peak(shape).SerializeToString())
    fields: dict[str, object] = {
        "id": f"{name}-u8/1",
        "model": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "rate_hz": 8_000,
        "window": WINDOW,
        "hop": HOP,
        "dimension": 2,
        "low": -1.0,
        "high": 1.0,
    }
    write(model.with_suffix(".toml"), BackboneManifest.model_validate(fields | other))
    return model.with_suffix(".toml")


def mean_and_peak(shape: tuple[str | int, ...]) -> onnx.ModelProto:
    """A model of windows, [n, window], [1, window] or [window], with outputs `both` and `twice`, [n, 2]."""
    last = len(shape) - 1
    nodes = [
        helper.make_node("ReduceMean", ["sound", "axis"], ["mean"], keepdims=1),
        helper.make_node("ReduceMax", ["sound", "axis"], ["peak"], keepdims=1),
        helper.make_node("Concat", ["mean", "peak"], ["both"], axis=last),
        helper.make_node("Add", ["both", "both"], ["twice"]),
    ]
    rows = [*shape[:-1], 2]
    graph = helper.make_graph(
        nodes,
        "mean-and-peak",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, rows) for output in ("both", "twice")],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [last])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return model
