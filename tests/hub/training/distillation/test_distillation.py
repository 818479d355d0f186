"""Distillation in small, and all of it end to end."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from typer.testing import CliRunner

from hub.cli import app
from hub.training.datasets.feature_file import load_features
from hub.training.distillation import debian_packages, pipeline
from hub.training.distillation.distillation import (
    Buffer,
    DistilPlan,
    TeacherProjection,
    _rate,
    distill,
    load_student,
    save_student,
)
from hub.training.distillation.mixer import Mixer
from hub.training.distillation.mixtures import SOURCES
from hub.training.distillation.student import WIDTH, Student
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import CLASSES
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL
from tests.programs import program

TINY = DistilPlan(blocks=2, block=160, batch=32)
FEW = (("SCENES", 2), ("SCALED_ON", 64), ("LABELLED", 100), ("LABELLED_SCENES", 2), ("LABELLED_EMPTY", 3))


def test_the_target_is_the_strongest_part_of_what_the_teacher_detects() -> None:
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((5, 1024))
    embeddings = (rng.standard_normal((400, 5)) @ directions + 0.01 * rng.standard_normal((400, 1024))).astype(
        np.float32
    )
    target = TeacherProjection.of(embeddings)
    assert target.kept > 0.99
    np.testing.assert_allclose(target.axes @ target.axes.T, np.eye(WIDTH), atol=1e-4)
    components = target(embeddings.astype(np.float32))
    assert components.var(axis=0).mean() == pytest.approx(1.0, rel=0.01)
    assert components[:, :5].var() > 100 * components[:, 5:].var()


def test_a_buffer_overwrites_the_oldest() -> None:
    buffer = Buffer(20, CLASSES)
    for block in range(3):
        parts = (np.full((10, 96, 64), block), np.full((10, WIDTH), block), np.zeros((10, CLASSES)))
        buffer.add(*(part.astype(np.float32) for part in parts))
    patches, target, stated = buffer.draw(200, np.random.default_rng(0))
    assert set(patches.flatten().tolist()) == {1.0, 2.0}
    assert torch.equal(target[:, 0], patches[:, 0, 0])
    assert (stated == 0.5).all(), "log-odds of 0 are a probability of one half"


def test_a_student_learns_the_same_from_the_same_seed_and_is_kept(
    mixer: Mixer, teacher: Teacher, tmp_path: Path
) -> None:
    drawn = np.full(len(mixer.bank.starts), 1 / len(mixer.bank.starts))
    losses: list[float] = []
    student, target = distill(mixer, drawn, teacher, TINY, on_block=lambda _n, loss, _s: losses.append(loss))
    again, _ = distill(mixer, drawn, teacher, TINY)
    assert losses[1] < losses[0]
    assert 0.9 < target.kept <= 1.0
    patches = torch.from_numpy(mixer.mix(np.zeros((3, SOURCES), np.int64), np.random.default_rng(0)).patches)
    torch.testing.assert_close(again.embed(patches), student.embed(patches), atol=1e-3, rtol=1e-3)
    save_student(tmp_path / "s.safetensors", student, TINY)
    torch.testing.assert_close(load_student(tmp_path / "s.safetensors").embed(patches), student.embed(patches))


@pytest.fixture
def debian(tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that hands out packages made here, real ones, unpacked by the real dpkg-deb."""
    build = program("dpkg-deb")
    for name in ("street", "yard"):
        tree = tmp_path / "tree" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: us <a@example.org>\nDescription: sounds\n"
        )
        (tree / "usr").mkdir()
        (tree / "usr" / "sounds").symlink_to("share")
        subprocess.run(["/bin/cp", "-r", sounds / name, tree / "usr" / "share"], check=True)
        subprocess.run([build, "--build", tree, tmp_path / f"{name}_1_all.deb"], check=True, capture_output=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    apt = programs / "apt-get"
    apt.write_text(
        f'#!/bin/sh\nfor name; do :; done\necho "$name" >> {programs}/asked\ncp {tmp_path}/"$name"_1_all.deb .\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(debian_packages, "PACKAGES", ("street", "yard"))
    monkeypatch.setattr(pipeline, "PACKAGES", ("street", "yard"))
    return programs


def test_packages_are_fetched_once_and_unpacked(debian: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    into = debian_packages.fetch_packages(tmp_path / "unpacked", reported.append)
    debian_packages.fetch_packages(into)
    assert reported == ["street", "yard"]
    assert (debian / "asked").read_text().split() == ["street", "yard"]
    assert sorted(path.name for path in into.iterdir()) == ["street", "yard"]
    assert (into / "yard" / "usr" / "share" / "deep" / "0.ogg").is_file()


@pytest.mark.usefixtures("debian")
def test_a_package_that_apt_does_not_have_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "PACKAGES", ("street", "nonsense"))
    with pytest.raises(UnavailableError, match="nonsense"):
        debian_packages.fetch_packages(tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "street").is_dir(), "what was had is kept"


def test_without_apt_it_states_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="apt-get and dpkg-deb are needed"):
        debian_packages.fetch_packages(tmp_path / "unpacked")


def test_the_packages_are_each_named_once() -> None:
    names = debian_packages.PACKAGES
    assert len(names) == len(set(names)) > 50


@pytest.mark.usefixtures("debian")
def test_one_command_makes_the_backbone_and_goes_on_where_it_was_stopped(
    tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FEW:
        monkeypatch.setattr(pipeline, name, value)
    work, into, reported = tmp_path / "work", tmp_path / "made", list[str]()
    work.mkdir()
    order = pipeline.Order(into, (sounds / "street",), "0")
    description = pipeline.build_backbone(work, order, TINY, reported.append)
    backbone = Backbone(description)
    assert backbone.space == EARWITNESS_SMALL
    features = backbone.extract(np.random.default_rng(0).uniform(-1, 1, 160_000).astype(np.float32), 16_000)
    assert features.std() > 0
    mixtures = load_features(work / "mixtures")
    assert len(mixtures) == 105
    assert mixtures.fine is not None
    assert mixtures.fine.shape == (105, CLASSES)
    assert 0 < mixtures.labels.mean() < 1
    assert any("block 2 of 2" in line for line in reported)
    before, again = description.read_bytes(), list[str]()
    assert pipeline.build_backbone(work, order, TINY, again.append).read_bytes() == before
    assert not any("block" in line or "read" in line or "unpacked" in line for line in again)


def test_the_command_reports_what_it_needs() -> None:
    reported = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["backbone", "distill", "--help"])
    assert reported.exit_code == 0
    assert "an hour on two cores" in reported.stdout
    assert CliRunner().invoke(app, ["backbone", "distill"]).exit_code == 2


@given(st.integers(200, 20_000))
def test_the_learning_rate_warms_up_and_falls_to_nothing(steps: int) -> None:
    rates = [_rate(step, steps) for step in range(0, steps + 1, max(1, steps // 200))]
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    assert _rate(0, steps) == pytest.approx(0.01)
    assert _rate(steps, steps) == pytest.approx(0.0, abs=1e-12)
    late = [_rate(step, steps) for step in range(100, steps + 1, max(1, steps // 100))]
    assert late == sorted(late, reverse=True)


def test_a_buffer_draws_only_what_was_put_in() -> None:
    buffer = Buffer(100, CLASSES)
    buffer.add(
        np.ones((5, 96, 64), np.float32), np.ones((5, WIDTH), np.float32), np.full((5, CLASSES), 20, np.float32)
    )
    patches, target, stated = buffer.draw(300, np.random.default_rng(0))
    assert (patches.shape, target.shape, stated.shape) == ((300, 96, 64), (300, WIDTH), (300, CLASSES))
    assert patches.dtype == target.dtype == stated.dtype == torch.float32
    assert (patches == 1).all()
    assert (target == 1).all()
    assert (stated > 0.999).all()
    assert (stated <= 1.0).all()


def test_the_target_keeps_the_components_that_vary_most_in_order() -> None:
    rng = np.random.default_rng(0)
    embeddings = (rng.standard_normal((2_000, 1024)) * np.geomspace(3.0, 0.01, 1024) + 5.0).astype(np.float32)
    target = TeacherProjection.of(embeddings)
    components = target(embeddings)
    assert components.dtype == np.float32
    np.testing.assert_allclose(components.mean(axis=0), 0.0, atol=1e-3)
    assert (np.diff(components.var(axis=0)) < 1e-4).all()
    variances = components.astype(np.float64).var(axis=0).sum() * target.spread**2
    assert target.kept == pytest.approx(variances / embeddings.astype(np.float64).var(axis=0).sum(), rel=1e-3)


def test_a_student_that_was_kept_is_ready_to_be_used_and_reports_its_plan(tmp_path: Path) -> None:
    save_student(tmp_path / "s.safetensors", Student(), TINY)
    found = load_student(tmp_path / "s.safetensors")
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    with safe_open(tmp_path / "s.safetensors", "pt") as file:
        assert DistilPlan(**json.loads(file.metadata()["plan"])) == TINY


@pytest.mark.usefixtures("debian")
def test_what_other_arguments_made_is_not_gone_on_with(
    tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KeyboardInterrupt

    work = tmp_path / "work"
    monkeypatch.setattr(pipeline, "SCENES", 0)
    monkeypatch.setattr(pipeline, "_odds", refuse)
    with pytest.raises(KeyboardInterrupt):
        pipeline.build_backbone(work, pipeline.Order(tmp_path, (sounds / "street",)), TINY, lambda _: None)
    assert (work / "bank.npz").is_file()
    for folders, leave_out in (((sounds / "yard",), ""), ((sounds / "street",), "5-")):
        with pytest.raises(InvalidError, match="results of other arguments"):
            pipeline.build_backbone(work, pipeline.Order(tmp_path, folders, leave_out), TINY, lambda _: None)


def test_a_folder_without_recordings_is_reported_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no recordings in"):
        pipeline.build_backbone(tmp_path / "work", pipeline.Order(tmp_path, (tmp_path,)), TINY, lambda _: None)
    assert not (tmp_path / "work").exists()


@pytest.mark.usefixtures("debian")
def test_packages_may_be_unpacked_to_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (debian_packages.fetch_packages(Path("here")) / "street").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot write to"):
        debian_packages.fetch_packages(tmp_path / "file" / "below")
