"""The student as an ONNX file."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from hub.features.vggish.extractor import BANDS, HOP, PATCH, RATE_HZ, FrontEnd
from hub.training.distillation.onnx_export import SAMPLES, export, front_end, scales, written
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.student import CENTRE, LAYERS, SPREAD, WIDTH, Student
from hub.training.onnx_graph import IR_VERSION, OPSET, Graph
from shared.backbones.manifest import read
from shared.errors import UnavailableError
from shared.feature_space import EARWITNESS_SMALL, FeatureSpace

Floats = npt.NDArray[np.float32]

DETECTED = SAMPLES - 112
"""Samples of a window that reach the network."""


@pytest.fixture(scope="module")
def windows() -> Floats:
    """Noise of many levels, some of which is a tone or nearly silent."""
    rng = np.random.default_rng(0)
    level = np.geomspace(1e-4, 0.5, 100)[:, None]
    tone = np.sin(2 * np.pi * rng.uniform(100, 7_000, (100, 1)) * np.arange(SAMPLES) / RATE_HZ)
    return (level * (rng.standard_normal((100, SAMPLES)) + rng.uniform(0, 3, (100, 1)) * tone)).astype(np.float32)


@pytest.fixture(scope="module")
def patches(windows: Floats) -> torch.Tensor:
    return torch.cat([FrontEnd(OFFSET).patches(window) for window in windows])


@pytest.fixture(scope="module")
def student(patches: torch.Tensor) -> Student:
    """Untrained, but its layers have seen these patches, and its values lie around zero as those of a trained one.

    Otherwise most bytes would be 0 or 255, and any two networks would agree on them.
    """
    torch.manual_seed(1)
    made = Student()
    with torch.no_grad():
        for layer in made.maps:
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None
        for _ in range(3):
            made(patches)
        made.eval()
        made.embedding.bias.sub_(made.embed(patches).mean(dim=0))
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def factors(student: Student, patches: torch.Tensor) -> Floats:
    return scales(student.embed(patches).numpy())


@pytest.fixture(scope="module")
def description(student: Student, factors: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(student, factors, tmp_path_factory.mktemp("made") / "of" / "two")


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def run(model: Path | bytes, sound: Floats) -> Floats:
    (found,) = session(model).run(None, {"sound": sound})
    return np.asarray(found, dtype=np.float32)


def rounded(student: Student, factors: Floats, patches: torch.Tensor) -> Floats:
    """What the file should give: the folded network with its weights rounded to half precision."""
    maps = ((patches - CENTRE) / SPREAD).unsqueeze(1)
    for (weight, bias), (_, kernel, stride) in zip(student.folded(), LAYERS, strict=True):
        maps = torch.relu(functional.conv2d(maps, weight.half().float(), bias.half().float(), stride, kernel // 2))
    by = torch.from_numpy(factors)
    weight, bias = student.embedding.weight * by[:, None], student.embedding.bias * by
    last = functional.linear(maps.mean(dim=(2, 3)), weight.half().float(), bias.half().float())
    return np.asarray(last.numpy(), dtype=np.float32)


def test_the_file_gives_the_bytes_that_torch_gives_with_the_same_rounded_weights(
    student: Student, factors: Floats, description: Path, windows: Floats, patches: torch.Tensor
) -> None:
    found = EARWITNESS_SMALL.quantise(run(description.with_suffix(".onnx"), windows))
    expected = EARWITNESS_SMALL.quantise(rounded(student, factors, patches))
    difference = np.abs(found.astype(int) - expected)
    assert ((expected == 0) | (expected == 255)).mean() < 0.05, "there is something to compare"
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


def test_rounding_the_weights_changes_no_byte_by_more_than_one(
    student: Student, factors: Floats, description: Path, windows: Floats, patches: torch.Tensor
) -> None:
    found = run(description.with_suffix(".onnx"), windows)
    exact = student.embed(patches).numpy() * factors
    difference = np.abs(EARWITNESS_SMALL.quantise(found).astype(int) - EARWITNESS_SMALL.quantise(exact))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.8
    assert np.abs(found - exact).mean() < 0.25 * (EARWITNESS_SMALL.high - EARWITNESS_SMALL.low) / 255


def test_the_front_end_in_the_graph_is_that_of_the_teacher(windows: Floats, patches: torch.Tensor) -> None:
    graph = Graph()
    name = front_end(graph)
    made = graph.model(("sound", ["frames", SAMPLES]), (name, ["frames", PATCH, BANDS])).SerializeToString()
    np.testing.assert_allclose(run(made, windows), patches.numpy(), atol=2e-3)


def test_windows_are_embedded_alike_alone_and_together(description: Path, windows: Floats) -> None:
    model = description.with_suffix(".onnx")
    together = run(model, windows[:5])
    alone = np.concatenate([run(model, window[None]) for window in windows[:5]])
    assert together.shape == (5, WIDTH)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_what_lies_behind_the_last_frame_is_not_embedded(description: Path, windows: Floats) -> None:
    model, other = description.with_suffix(".onnx"), windows[:3].copy()
    other[:, DETECTED:] = 0.9
    np.testing.assert_array_equal(run(model, other), run(model, windows[:3]))
    other[:, DETECTED - HOP : DETECTED] = 0.9
    assert np.abs(run(model, other) - run(model, windows[:3])).max() > 0.01


def test_the_description_is_read_back_and_names_exactly_this_file(description: Path) -> None:
    reported = read(description)
    model = description.parent / reported.model
    assert description.name == "earwitness-small.toml"
    assert reported.space == EARWITNESS_SMALL
    assert (reported.rate_hz, reported.window, reported.hop) == (RATE_HZ, SAMPLES, PATCH * HOP)
    assert reported.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()


def test_the_same_student_makes_the_same_file(
    student: Student, factors: Floats, description: Path, tmp_path: Path
) -> None:
    again = export(student, factors, tmp_path)
    assert again.read_bytes() == description.read_bytes()
    assert again.with_suffix(".onnx").read_bytes() == description.with_suffix(".onnx").read_bytes()


def test_the_file_is_below_three_megabytes_and_of_versions_that_old_runtimes_know(description: Path) -> None:
    path = description.with_suffix(".onnx")
    model = onnx.load(path)
    assert path.stat().st_size < 3e6
    assert model.ir_version == IR_VERSION
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    large = [tensor for tensor in model.graph.initializer if tensor.dims and np.prod(tensor.dims) > 50_000]
    assert large
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}


def test_a_multiple_of_the_factors_is_a_multiple_of_what_is_given(
    student: Student, factors: Floats, description: Path, windows: Floats, tmp_path: Path
) -> None:
    # A power of two leaves the fraction of a float16 as it is.
    doubled = export(student, 2 * factors, tmp_path).with_suffix(".onnx")
    expected = 2 * run(description.with_suffix(".onnx"), windows[:9])
    np.testing.assert_allclose(run(doubled, windows[:9]), expected, atol=1e-3)


def test_a_place_that_cannot_be_written_to_is_reported(student: Student, factors: Floats, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot write to"):
        export(student, factors, tmp_path / "file" / "made")
    with pytest.raises(UnavailableError, match="cannot write to"):
        export(student, factors, tmp_path / "file")


@pytest.mark.parametrize(("space_id", "name"), [("ears-u8/3", "ears"), ("ears/1", "ears"), ("u8-ears/1", "u8-ears")])
def test_files_are_named_after_the_feature_space(space_id: str, name: str, tmp_path: Path) -> None:
    graph = Graph()
    graph.node("ReduceMean", ["sound", graph.whole([1])], keepdims=1, name="mean")
    model = graph.model(("sound", ["frames", SAMPLES]), ("mean", ["frames", 1]))
    made = written(model, tmp_path, FeatureSpace(space_id, frames=10, dimension=1, low=-1.0, high=1.0))
    assert made == tmp_path / f"{name}.toml"
    assert read(made).model == f"{name}.onnx"
    assert read(made).space.id == space_id


def test_a_graph_that_makes_no_sense_is_refused_before_it_is_written() -> None:
    graph = Graph()
    graph.node("MatMul", ["sound", graph.single(np.zeros((3, 3)))], name="product")
    with pytest.raises(onnx.shape_inference.InferenceError):
        graph.model(("sound", ["frames", SAMPLES]), ("product", ["frames", 3]))


def test_the_student_is_left_as_it_was(student: Student, factors: Floats, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    export(student, factors, tmp_path)
    assert not any(layer.training for layer in student.modules() if isinstance(layer, nn.BatchNorm2d))
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
