"""YAMNet as the teacher, itself and as a feature space."""

from pathlib import Path

import numpy as np

from hub.audio.vggish import FrontEnd
from hub.training.distil.bank import OFFSET
from hub.training.distil.clips import categories
from hub.training.distil.teacher import CLASSES, EMBEDDING, Teacher, class_names
from hub.training.distil.yamnet import YAMNET, yamnet
from shared.audio import Waveform
from shared.backbones.backbone import Backbone
from shared.taxonomy import CATEGORIES

RATE_HZ = 16_000


def tone_and_noise() -> list[Waveform]:
    t = np.arange(10 * RATE_HZ) / RATE_HZ
    siren = np.sin(2 * np.pi * (900 * t + 60 * np.sin(2 * np.pi * 0.5 * t)))
    return [(0.5 * siren).astype(np.float32), np.random.default_rng(0).uniform(-0.3, 0.3, t.size).astype(np.float32)]


def test_it_knows_sounds_by_name(teacher: Teacher) -> None:
    siren, noise = (FrontEnd(OFFSET).patches(sound).numpy() for sound in tone_and_noise())
    embeddings, odds = teacher.hear(np.concatenate([siren, noise]))
    assert embeddings.shape == (len(siren) + len(noise), EMBEDDING)
    assert embeddings.min() >= 0
    names = class_names()
    assert len(names) == len(set(names)) == CLASSES == odds.shape[1]
    loudest = {names[i] for i in np.argsort(-odds[: len(siren)].mean(axis=0))[:12]}
    assert loudest & {"Siren", "Emergency vehicle", "Civil defense siren", "Vehicle", "Alarm", "Sine wave"}


def test_scores_are_mapped_to_the_category_of_their_class() -> None:
    odds = np.full((3, CLASSES), -9.0)
    names = class_names()
    for row, name in enumerate(("Siren", "Dog", "Chainsaw")):
        odds[row, names.index(name)] = 4.0
    found = categories(odds)
    assert found.shape == (3, 8)
    assert ((found >= 0) & (found <= 1)).all()
    heard = [{CATEGORIES[c] for c in np.flatnonzero(row > 0.5)} for row in found]
    assert heard == [{"alert-signal"}, {"dog"}, {"powered-saw"}]


def test_as_a_feature_space_it_says_what_the_teacher_says(teacher: Teacher, tmp_path: Path) -> None:
    backbone = Backbone(yamnet(tmp_path))
    assert backbone.space == YAMNET
    for sound in tone_and_noise():
        expected, _ = teacher.hear(FrontEnd(OFFSET).patches(sound).numpy())
        found = backbone.values(sound, RATE_HZ)
        assert found.shape == (10, EMBEDDING)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
