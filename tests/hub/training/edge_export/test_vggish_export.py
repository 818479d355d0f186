"""VGGish as a file for sensors, with a narrow network; the command's tests have one of the whole size."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edge.extractor import open_extractor
from edge.settings import EdgeSettings
from hub.features.vggish.extractor import RATE_HZ, Vggish
from hub.training.edge_export.vggish_export import ByteDifference, EdgeExport, check_clips, write_compared
from hub.training.onnx_graph import IR_VERSION, OPSET
from shared import backbones
from shared.audio import Waveform
from shared.backbones.manifest import read, write
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import VGGISH
from shared.synthetic_scene import make_scene
from tests.narrow_vggish import narrow_vggish

METADATA = {"space": VGGISH.id, "weights_sha256": "ab" * 32}


@pytest.fixture(scope="module")
def reference() -> Vggish:
    return narrow_vggish()


@pytest.fixture(scope="module")
def exported(reference: Vggish, tmp_path_factory: pytest.TempPathFactory) -> EdgeExport:
    into = tmp_path_factory.mktemp("exported") / "new"
    return write_compared(reference, reference, METADATA, into, print)


def run(exported: EdgeExport, waveform: Waveform) -> object:
    session = onnxruntime.InferenceSession(exported.model, providers=["CPUExecutionProvider"])
    return session.run(None, {"waveform": waveform})[0]


def test_a_waveform_goes_in_and_the_bytes_of_the_torch_path_come_out(reference: Vggish, exported: EdgeExport) -> None:
    for name, clip in check_clips().items():
        found, expected = run(exported, clip), reference.extract(clip, RATE_HZ)
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (np.uint8, (10, 128))
        difference = ByteDifference.between(found, expected)
        assert difference.max_steps <= 1, name
        assert difference.different <= 3, name
    assert len(np.unique(expected)) > 100, "the bytes vary"
    assert exported.difference.compared == 8 * 1_280


def test_a_sensor_computes_the_hubs_bytes_by_its_settings_alone(
    reference: Vggish, exported: EdgeExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "_brought", dict(backbones._brought))  # the manifest is of this test only
    settings = EdgeSettings.model_validate({"features": {"space": str(exported.manifest)}})
    sensor = open_extractor(settings)
    assert sensor is not None
    assert sensor.space == VGGISH
    rng = np.random.default_rng(1)
    clips = [(make_scene(rng, rate_hz).waveform, rate_hz) for rate_hz in (16_000, 48_000)]
    difference = ByteDifference.between(sensor.extract_many(clips), reference.extract_many(clips))
    assert difference.max_steps <= 1
    assert difference.different <= 3


def test_values_are_those_of_the_bytes_and_a_manifest_for_one_frame_is_refused(
    exported: EdgeExport, tmp_path: Path
) -> None:
    clip = check_clips()["a street"]
    backbone = Backbone(exported.manifest)
    np.testing.assert_array_equal(
        backbone.values(clip, RATE_HZ), VGGISH.dequantise(backbone.extract(clip, RATE_HZ)), strict=True
    )
    (tmp_path / "vggish.onnx").write_bytes(exported.model.read_bytes())
    write(tmp_path / "one.toml", read(exported.manifest).model_copy(update={"frames_per_window": 1}))
    with pytest.raises(InvalidError, match=r"returned \[10, 128\], its manifest states \[1, 128\]"):
        Backbone(tmp_path / "one.toml")


@pytest.mark.parametrize("samples", [0, 15_600, 159_999, 160_001])
def test_a_waveform_of_another_length_is_refused(exported: EdgeExport, samples: int) -> None:
    with pytest.raises(Exception, match=r"(?i)invalid dimensions|expected: 160000"):
        run(exported, np.zeros(samples, np.float32))


def test_the_file_states_its_origin_and_is_for_runtimes_of_2024(exported: EdgeExport) -> None:
    model = onnx.load(exported.model)
    assert {entry.key: entry.value for entry in model.metadata_props} == METADATA
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    described = read(exported.manifest)
    assert described.space == VGGISH
    assert described.sha256 == exported.model_sha256 == hashlib.sha256(exported.model.read_bytes()).hexdigest()
    assert exported.model_bytes == exported.model.stat().st_size
    assert sorted(path.name for path in exported.model.parent.iterdir()) == ["vggish.onnx", "vggish.toml"]


def test_a_file_that_differs_from_torch_does_not_replace_the_one_before(
    reference: Vggish, exported: EdgeExport
) -> None:
    before = {path: path.read_bytes() for path in exported.model.parent.iterdir()}
    with pytest.raises(InvalidError, match=r"more than 1 of 255 steps in \d+ of 10240 bytes.*Nothing was written"):
        write_compared(narrow_vggish(1), reference, METADATA, exported.model.parent, print)
    assert {path: path.read_bytes() for path in exported.model.parent.iterdir()} == before


@pytest.mark.parametrize(("over", "acceptable"), [(0, True), (10, True), (11, False)])
def test_one_byte_of_a_thousand_may_differ_by_more_than_a_step(over: int, *, acceptable: bool) -> None:
    one = np.full((10_000,), 100, np.uint8)
    other = one.copy()
    other[:over] -= 2
    other[over : over + 500] += 1
    difference = ByteDifference.between(one, other)
    assert difference == ByteDifference(10_000, over + 500, over, 2 if over else 1)
    assert difference.acceptable is acceptable


def test_a_place_that_cannot_be_written_to_is_reported(reference: Vggish, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot write to"):
        write_compared(reference, reference, METADATA, tmp_path / "file", print)
