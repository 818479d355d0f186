"""A little bank of recordings, and the teacher."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from hub.training.distillation.mixer import LogMelMixer
from hub.training.distillation.spectrogram_bank import SpectrogramBank, gather, recordings
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import yamnet_teacher
from shared.synthetic_scene import make_scene


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of recordings of several formats and rates, some of which are of no use."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for name, suffix, rate_hz in (("street", "wav", 16_000), ("yard", "flac", 44_100), ("yard", "ogg", 22_050)):
        (folder / name / "deep").mkdir(parents=True, exist_ok=True)
        for number in range(3):
            scene = make_scene(rng, rate_hz).waveform[: 4 * rate_hz]
            soundfile.write(folder / name / "deep" / f"{number}.{suffix}", scene, rate_hz)
    soundfile.write(folder / "yard" / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "yard" / "click.wav", np.ones(100), 16_000)
    (folder / "yard" / "broken.wav").write_text("not sound")
    (folder / "yard" / "notes.txt").write_text("not a recording")
    return folder


@pytest.fixture(scope="session")
def bank(sounds: Path) -> SpectrogramBank:
    folders = [(name, recordings(sounds / name)) for name in ("street", "yard")]
    return gather(folders, scenes=2, seed=0, tick=lambda _: None)


@pytest.fixture(scope="session")
def mixer(bank: SpectrogramBank) -> LogMelMixer:
    return LogMelMixer(bank)


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YAMNet's description as a teacher."""
    return yamnet_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def teacher(described: Path) -> Teacher:
    return Teacher(described, threads=1)
