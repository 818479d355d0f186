"""YAMNet as a feature space."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hub.features.vggish.extractor import HOP, PATCH, FrontEnd
from hub.training.distillation.onnx_export import SAMPLES
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import EMBEDDING, YAMNET, yamnet
from shared import backbones
from shared.audio import Waveform
from shared.backbones.manifest import read
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import SPACES
from shared.synthetic_scene import make_scene


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return yamnet(tmp_path_factory.mktemp("yamnet"))


@pytest.fixture(scope="module")
def backbone(description: Path) -> Backbone:
    return Backbone(description)


def street(seed: int, rate_hz: int) -> Waveform:
    return make_scene(np.random.default_rng(seed), rate_hz).waveform


def test_its_description_states_a_window_of_one_patch(description: Path) -> None:
    reported = read(description)
    assert (description.name, reported.model) == ("yamnet.toml", "yamnet.onnx")
    assert (reported.rate_hz, reported.window, reported.hop) == (16_000, SAMPLES, PATCH * HOP)
    assert reported.space == YAMNET


def test_a_clip_of_any_rate_becomes_ten_frames_of_bytes(backbone: Backbone) -> None:
    for rate_hz in (8_000, 44_100):
        features = backbone.extract(street(3, rate_hz), rate_hz)
        assert features.shape == (10, EMBEDDING)
        assert features.dtype == np.uint8
        assert features.max() > 20, "something is detected"


def test_activations_are_not_negative_and_few_are_beyond_the_range(backbone: Backbone) -> None:
    values = np.concatenate([backbone.values(street(seed, 16_000), 16_000) for seed in range(4)])
    assert values.min() >= 0.0
    assert (values > YAMNET.high).mean() < 0.01


def test_streets_are_closer_to_the_teachers_scores_of_them_than_of_others(
    backbone: Backbone, teacher: Teacher
) -> None:
    sounds = [street(seed, 16_000) for seed in range(4)]
    found = np.stack([backbone.values(sound, 16_000).ravel() for sound in sounds])
    received = np.stack([teacher.predict(FrontEnd(OFFSET).patches(sound).numpy())[0].ravel() for sound in sounds])
    distances = np.linalg.norm(found[:, None] - received[None], axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), np.arange(4))
    assert distances.diagonal().max() < 0.25 * np.linalg.norm(received, axis=1).min()


def test_it_takes_one_window_at_a_time_and_gives_nothing_but_the_embedding(description: Path) -> None:
    session = onnxruntime.InferenceSession(description.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("sound", [1, SAMPLES])]
    assert [one.shape for one in session.get_outputs()] == [[1, EMBEDDING]]


def test_it_is_brought_along_like_anyone_elses(description: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "_brought", dict(backbones._brought))
    monkeypatch.delitem(SPACES, YAMNET.id, raising=False)
    try:
        assert backbones.resolve_space(str(description)) == YAMNET
        assert backbones.resolve_manifest(YAMNET.id) == description
    finally:
        SPACES.pop(YAMNET.id, None)


def test_a_changed_file_is_not_taken_for_it(description: Path, tmp_path: Path) -> None:
    (tmp_path / description.name).write_bytes(description.read_bytes())
    (tmp_path / "yamnet.onnx").write_bytes(description.with_suffix(".onnx").read_bytes() + b"\0")
    with pytest.raises(InvalidError, match="SHA-256"):
        Backbone(tmp_path / description.name)


def test_a_place_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot write to"):
        yamnet(tmp_path / "file")
