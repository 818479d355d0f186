"""Steps of making the backbone; that they make one together is tested in `test_learning`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hub.training.distillation import debian_packages, pipeline
from hub.training.distillation.distillation import DistilPlan, save_student
from hub.training.distillation.mixer import Mixer
from hub.training.distillation.spectrogram_bank import SpectrogramBank
from hub.training.distillation.student import Student
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import CLASSES
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL

PLAN = DistilPlan(blocks=1, block=16, batch=16)
FEW = (("SCENES", 1), ("SCALED_ON", 32), ("LABELLED", 100), ("LABELLED_SCENES", 2), ("LABELLED_EMPTY", 3))


class Counting(Teacher):
    """Counts what it is asked to embed."""

    def __init__(self, path: Path) -> None:
        self.asked: list[int] = []
        super().__init__(path, threads=1)
        self.asked.clear()

    def predict(self, frames: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        self.asked.append(len(frames))
        return super().predict(frames)


@pytest.fixture
def unpacked(tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder in which the only package is unpacked already, and few scenes are made."""
    for module in (debian_packages, pipeline):
        monkeypatch.setattr(module, "PACKAGES", ("street",))
    for name, value in FEW:
        monkeypatch.setattr(pipeline, name, value)
    work = tmp_path / "work"
    (work / "packages").mkdir(parents=True)
    (work / "packages" / "street").symlink_to(sounds / "street")
    return work


def test_the_bank_is_of_packages_then_folders_then_scenes(unpacked: Path, sounds: Path) -> None:
    reported: list[str] = []
    bank = pipeline._bank(unpacked, pipeline._recordings([sounds / "yard"], ""), 1500, None, 0, reported.append)
    assert bank.origins == ("street", "yard", "scenes")
    assert reported == ["unpacked street", "read street", "read yard", "read scenes"]


def test_recordings_that_are_to_be_left_out_are_not_embedded(unpacked: Path, sounds: Path) -> None:
    bank = pipeline._bank(unpacked, pipeline._recordings([sounds / "yard"], "0"), 1500, None, 0, lambda _: None)
    received = np.bincount(bank.origin)
    # Three recordings of the package, whatever their names; 1 and 2 of two formats in the folder.
    assert received[1] * 3 == received[0] * 4


def test_a_folder_of_which_nothing_is_left_is_named(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidError, match=r"no recordings in .*empty"):
        pipeline._recordings([sounds / "yard", tmp_path / "empty"], "")
    (tmp_path / "5-only.wav").write_bytes((sounds / "street" / "deep" / "0.wav").read_bytes())
    with pytest.raises(InvalidError, match="no recordings in"):
        pipeline._recordings([tmp_path], "5-")


def test_a_bank_that_is_kept_is_not_gathered_again(unpacked: Path, bank: SpectrogramBank) -> None:
    bank.save(unpacked / "bank.npz")
    reported: list[str] = []
    found = pipeline._bank(unpacked, {}, 1500, None, 9, reported.append)
    np.testing.assert_array_equal(found.frames, bank.frames)
    assert reported == []


def test_the_teacher_embeds_every_moment_once_block_by_block(
    mixer: Mixer, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_BLOCK", 30)
    counting, reported = Counting(described), list[str]()
    found = pipeline._odds(tmp_path / "odds.npy", mixer, counting, reported.append)
    moments = len(mixer.bank.starts)
    assert found.shape == (moments, CLASSES)
    assert found.dtype == np.float16
    assert sum(counting.asked) == moments
    assert max(counting.asked) == 30
    assert reported[-1] == f"the teacher processed {moments} of {moments} moments"
    expected = counting.predict(mixer.moments(np.array([moments - 1])))[1]
    np.testing.assert_allclose(found[-1], expected[0], rtol=1e-3)

    before = len(counting.asked)
    np.testing.assert_array_equal(pipeline._odds(tmp_path / "odds.npy", mixer, counting, reported.append), found)
    assert len(counting.asked) == before


def test_patches_are_embedded_in_parts_as_if_at_once() -> None:
    torch.manual_seed(0)
    student = Student().requires_grad_(False).eval()
    patches = np.random.default_rng(0).normal(-3.0, 2.0, (300, 96, 64)).astype(np.float32)
    found = pipeline._embedded(student, patches)
    assert found.shape == (300, 128)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[250:262], student.embed(torch.from_numpy(patches[250:262])).numpy(), atol=1e-5)


def test_a_student_that_is_kept_is_exported_without_learning_again(
    unpacked: Path, bank: SpectrogramBank, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    student = Student().requires_grad_(False).eval()
    bank.save(unpacked / "bank.npz")
    save_student(unpacked / "student.safetensors", student, PLAN)
    reported: list[str] = []
    description = pipeline.build_backbone(unpacked, pipeline.Order(tmp_path / "made"), PLAN, reported.append)
    assert description == tmp_path / "made" / "earwitness-small.toml"
    assert not any("loss" in line for line in reported)
    assert reported[-1] == f"wrote {description} and {unpacked / 'mixtures'}"
    assert Backbone(description).space == EARWITNESS_SMALL
    assert {path.name for path in unpacked.iterdir()} >= {"bank.npz", "odds.npy", "student.safetensors", "mixtures"}
