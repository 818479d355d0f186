"""The extractor that runs an ONNX file: whatever a user brings along, and the one that ships."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional

from hub.features.vggish.extractor import FrontEnd
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.student import CENTRE, LAYERS, SPREAD
from shared.audio import Waveform
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.extractor import resample_clip
from shared.feature_space import EARWITNESS_SMALL, Floats
from shared.synthetic_scene import make_scene
from tests.backbone_factory import HOP, WINDOW, write_backbone

RATE_HZ = 8_000


def noise(seed: int = 0, rate_hz: int = RATE_HZ) -> Waveform:
    return np.random.default_rng(seed).uniform(-1, 1, 10 * rate_hz).astype(np.float32)


@pytest.mark.parametrize("shape", [("n", WINDOW), (1, WINDOW), (WINDOW,)])
def test_models_of_many_windows_or_one_give_the_same(tmp_path: Path, shape: tuple[str | int, ...]) -> None:
    backbone = Backbone(write_backbone(tmp_path, shape=shape))
    windows = np.stack([noise()[at : at + WINDOW] for at in range(0, 80_000 - WINDOW + 1, HOP)])
    expected = np.stack([windows.mean(axis=1), windows.max(axis=1)], axis=1)
    np.testing.assert_allclose(backbone.values(noise(), RATE_HZ), expected, atol=1e-6)
    np.testing.assert_array_equal(backbone.extract(noise(), RATE_HZ), backbone.space.quantise(expected))


def test_more_windows_than_pass_at_once_are_all_there_in_order(tmp_path: Path) -> None:
    backbone = Backbone(write_backbone(tmp_path, hop=500))
    ramp = np.linspace(0, 1, 80_000, dtype=np.float32)
    peaks = backbone.values(ramp, RATE_HZ)[:, 1]
    assert len(peaks) == 153
    np.testing.assert_allclose(peaks, ramp[WINDOW - 1 :: 500], atol=1e-6)


def test_the_output_that_is_named_is_taken(tmp_path: Path) -> None:
    first = Backbone(write_backbone(tmp_path)).values(noise(), RATE_HZ)
    np.testing.assert_allclose(
        Backbone(write_backbone(tmp_path, output="twice")).values(noise(), RATE_HZ), 2 * first, rtol=1e-6
    )
    with pytest.raises(InvalidError, match="has no output 'third'; it has both, twice"):
        Backbone(write_backbone(tmp_path, output="third"))


def test_sound_of_any_rate_and_length_becomes_a_clip(tmp_path: Path) -> None:
    backbone = Backbone(write_backbone(tmp_path))
    tone = np.full(3 * 48_000, 0.5, np.float32)
    assert backbone.extract(tone, 48_000).shape == (10, 2)
    np.testing.assert_allclose(backbone.values(tone, 48_000)[:, 0], 0.5, atol=0.01)
    for wrong in (noise().reshape(2, -1), np.full(10, np.nan, np.float32), np.zeros(0, np.float32)):
        with pytest.raises(InvalidError):
            backbone.extract(wrong, RATE_HZ)


def test_many_clips_give_the_bytes_of_one_by_one_and_none_gives_none(tmp_path: Path) -> None:
    for backbone in (Backbone(write_backbone(tmp_path)), Backbone(SMALL_FILE)):
        clips = [(noise(seed, rate), rate) for seed, rate in enumerate((8_000, 16_000, 22_050))]
        one_by_one = np.stack([backbone.extract(*clip) for clip in clips])
        np.testing.assert_array_equal(backbone.extract_many(clips), one_by_one)
        assert backbone.extract_many([]).shape == (0, *backbone.space.shape)


def test_a_model_that_is_not_the_one_described_is_refused(tmp_path: Path) -> None:
    path = write_backbone(tmp_path)
    model = path.with_suffix(".onnx")
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(InvalidError, match="another id"):
        Backbone(path)
    model.unlink()
    with pytest.raises(UnavailableError, match=r"mine\.onnx"):
        Backbone(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_text("hello")
    reported = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    with pytest.raises(InvalidError, match="is not an ONNX model"):
        Backbone(write_backbone(tmp_path, model="words.onnx", sha256=reported))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"dimension": 3}, r"returned \[1, 2\], its manifest states \[1, 3\]"),
        ({"window": 100}, r"the model does not take \[1, 100\]"),
    ],
)
def test_a_model_of_another_shape_is_refused_at_once(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        Backbone(write_backbone(tmp_path, **other))


def test_a_model_of_several_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="must take one input"):
        Backbone(write_backbone(tmp_path, shape=("n", 1, WINDOW)))


def test_values_that_are_not_finite_are_refused_not_quantised(tmp_path: Path) -> None:
    backbone = Backbone(write_backbone(tmp_path, output="twice"))
    with pytest.raises(InvalidError, match="not finite"):
        backbone.extract(np.full(80_000, np.float32(3e38)), RATE_HZ)


def test_a_sensor_needs_no_torch(tmp_path: Path) -> None:
    code = f"""
import sys
for name in ("torch", "torchaudio", "onnx", "scipy", "hub"):
    sys.modules[name] = None
from pathlib import Path
from typing import Any
import numpy as np
from shared.backbones.onnx_backbone import Backbone
print(Backbone(Path({str(SMALL_FILE)!r})).extract(np.zeros(480_000, np.float32), 48_000).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(10, 128)", done.stderr


def test_the_backbone_that_ships_is_small() -> None:
    files = list(SMALL_FILE.parent.glob("earwitness-small.*"))
    assert {file.suffix for file in files} == {".onnx", ".toml", ".md"}
    assert sum(file.stat().st_size for file in files) <= 3_000_000


def test_torch_and_onnx_runtime_give_the_same_bytes() -> None:
    """At most one count apart, 99.9 % equal, over 40 scenes of every rate."""
    backbone = Backbone(SMALL_FILE)
    runtime, reference = [], []
    for seed in range(40):
        rate_hz = (16_000, 22_050, 44_100, 48_000)[seed % 4]
        sound = make_scene(np.random.default_rng(seed), rate_hz).waveform
        runtime.append(backbone.extract(sound, rate_hz))
        reference.append(EARWITNESS_SMALL.quantise(_torch(resample_clip(sound, rate_hz, 16_000))))
    difference = np.abs(np.stack(runtime).astype(int) - np.stack(reference))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999
    assert np.stack(runtime).std() > 10


def _torch(sound: Waveform) -> Floats:
    """The shipped network, built again from the weights in its file by torch's own operations, float32 [10, 128]."""
    model = onnx.load(SMALL_FILE.with_suffix(".onnx"))
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    halves = [torch.from_numpy(array.astype(np.float32)) for array in constants.values() if array.dtype == np.float16]
    *convolutions, weight, bias = halves
    value = FrontEnd(OFFSET).patches(sound).unsqueeze(1)
    value = (value - CENTRE) / SPREAD
    for (_, kernel, stride), w, b in zip(LAYERS, convolutions[::2], convolutions[1::2], strict=True):
        value = torch.relu(functional.conv2d(value, w, b, stride, kernel // 2))
    found: Floats = functional.linear(value.mean(dim=(2, 3)), weight, bias).numpy()
    return found
