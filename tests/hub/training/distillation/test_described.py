"""Teachers that are ONNX files with a description, tiny ones made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from hub.features.vggish.extractor import BANDS, PATCH, FrontEnd
from hub.training.datasets.feature_file import load_features
from hub.training.distillation import pipeline
from hub.training.distillation.distillation import DistilPlan
from hub.training.distillation.mixer import SoundMixer
from hub.training.distillation.onnx_export import SAMPLES, PatchEmbedder
from hub.training.distillation.spectrogram_bank import OFFSET, gather, recordings
from hub.training.distillation.teacher import Teacher, probabilities
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES

RATE_HZ = 8_000
WINDOW = 4_000
CLASSES = ("Dog", "Siren", "Rain")
PLAN = DistilPlan(blocks=1, block=64, batch=32)


def write(
    folder: Path,
    *,
    taken: tuple[int | str, ...] = ("n", WINDOW),
    width: int = 130,
    odds: bool = False,
    **changes: Any,
) -> Path:
    """A teacher that projects what it takes, and whose scores are made of the projection."""
    rng = np.random.default_rng(0)
    size = int(np.prod([n for n in taken[1:] if isinstance(n, int)])) if len(taken) > 1 else int(taken[0])
    constants = [
        onnx.numpy_helper.from_array(rng.normal(0, size**-0.5, (size, width)).astype(np.float32), "w"),
        onnx.numpy_helper.from_array(rng.normal(0, 1, (width, len(CLASSES))).astype(np.float32), "v"),
        onnx.numpy_helper.from_array(np.array([-1, size], np.int64), "flat"),
    ]
    nodes = [
        onnx.helper.make_node("Reshape", ["sound", "flat"], ["row"]),
        onnx.helper.make_node("MatMul", ["row", "w"], ["embedding"]),
        onnx.helper.make_node("MatMul", ["embedding", "v"], ["odds"]),
        onnx.helper.make_node("Sigmoid", ["odds"], ["scores"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "teacher",
        [onnx.helper.make_tensor_value_info("sound", kind, list(taken))],
        [
            onnx.helper.make_tensor_value_info("embedding", kind, ["n", width]),
            onnx.helper.make_tensor_value_info("odds", kind, ["n", len(CLASSES)]),
            onnx.helper.make_tensor_value_info("scores", kind, ["n", len(CLASSES)]),
        ],
        constants,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    (folder / "teacher.onnx").write_bytes(model.SerializeToString())
    fields: dict[str, Any] = {
        "model": "teacher.onnx",
        "takes": "sound",
        "rate_hz": RATE_HZ,
        "window": WINDOW,
        "embedding": "embedding",
        "scores": "odds" if odds else "scores",
        "scores_are": "log-odds" if odds else "probabilities",
        "classes": list(CLASSES),
    } | changes
    categories = fields.pop("categories", None)
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None]
    if categories is not None:
        lines += ["[categories]", *(f"{name} = {json.dumps(value)}" for name, value in categories.items())]
    (folder / "teacher.toml").write_text("\n".join(lines) + "\n")
    return folder / "teacher.toml"


def frames(count: int, teacher: Teacher) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(0, 0.3, (count, *teacher.frame_shape)).astype(np.float32)


def test_it_reads_sound_at_its_rate_and_returns_log_odds_whatever_it_gives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    sure = Teacher(write(tmp_path / "a"), threads=1)
    logits = Teacher(write(tmp_path / "b", odds=True), threads=1)
    assert (sure.rate_hz, sure.dimension, sure.classes) == (RATE_HZ, 130, CLASSES)
    assert sure.frame_shape == (round(SAMPLES / 16_000 * RATE_HZ),)
    received = frames(70, sure)
    embeddings, odds = sure.predict(received)
    assert embeddings.shape == (70, 130)
    assert embeddings.dtype == odds.dtype == np.float32
    np.testing.assert_allclose(odds, logits.predict(received)[1], atol=0.02)  # probabilities near 0 are rounded
    np.testing.assert_allclose(sure.predict(received[5:6])[0], embeddings[5:6], atol=1e-5)
    assert [found.shape for found in sure.predict(received[:0])] == [(0, 130), (0, 3)]


def test_of_windows_shorter_than_a_frame_it_takes_the_mean_and_the_highest_scores(tmp_path: Path) -> None:
    teacher = Teacher(write(tmp_path, hop=1_000), threads=1)
    received = frames(3, teacher)
    parts = [teacher._run(received[:, at : at + WINDOW]) for at in range(0, received.shape[1] - WINDOW + 1, 1_000)]
    assert len(parts) == 4
    embeddings, odds = teacher.predict(received)
    np.testing.assert_allclose(embeddings, np.mean([part[0] for part in parts], axis=0), atol=1e-5)
    np.testing.assert_allclose(odds, np.max([part[1] for part in parts], axis=0), atol=1e-5)


def test_a_window_longer_than_a_frame_gets_the_frame_over_and_over(tmp_path: Path) -> None:
    teacher = Teacher(write(tmp_path, taken=("n", 20_000), window=20_000), threads=1)
    received = frames(2, teacher)
    looped = np.stack([np.resize(frame, 20_000) for frame in received])
    np.testing.assert_allclose(teacher.predict(received)[0], teacher._run(looped)[0], atol=1e-5)


@pytest.mark.parametrize("taken", [(1, WINDOW), (WINDOW,)])
def test_a_teacher_that_takes_one_window_at_a_time_gets_one(tmp_path: Path, taken: tuple[int, ...]) -> None:
    teacher = Teacher(write(tmp_path, taken=taken), threads=1)
    received = frames(3, teacher)
    np.testing.assert_allclose(teacher.predict(received)[0][1:2], teacher.predict(received[1:2])[0], atol=1e-6)


def test_a_teacher_of_patches_gets_the_students_patches(tmp_path: Path) -> None:
    path = write(tmp_path, taken=(1, PATCH, BANDS), takes="log-mel", rate_hz=None, window=None)
    teacher = Teacher(path, threads=1)
    assert (teacher.rate_hz, teacher.frame_shape) == (None, (PATCH, BANDS))
    assert teacher.predict(frames(2, teacher))[1].shape == (2, 3)


def test_categories_are_audiosets_unless_they_are_named(tmp_path: Path) -> None:
    odds = np.array([[3.0, -3.0, 0.0]], np.float32)
    plain = Teacher(write(tmp_path), threads=1)
    found = dict(zip(CATEGORIES, plain.categories(odds)[0].tolist(), strict=True))
    assert found["dog"] == pytest.approx(float(probabilities(odds)[0, 0]))
    assert found["alert-signal"] == pytest.approx(float(probabilities(odds)[0, 1]))
    assert set(plain.unknown) == set(CATEGORIES) - {"dog", "alert-signal"}
    named = Teacher(write(tmp_path, categories={"engine": ["Rain", "Dog"]}), threads=1)
    assert named.categories(odds)[0, CATEGORIES.index("engine")] == pytest.approx(0.953, abs=1e-3)
    assert set(named.unknown) == set(CATEGORIES) - {"engine"}


def test_class_names_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("Dog\n\nSiren\r\n Rain \n", encoding="utf-8")
    assert Teacher(write(tmp_path, classes="classes.txt"), threads=1).classes == CLASSES


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"takes": "spectra"}, "takes"),
        ({"rate_hz": None}, "needs rate_hz and window"),
        ({"rate_hz": 22_051}, "rate_hz"),
        ({"takes": "log-mel"}, "has no rate_hz, window or hop"),
        ({"windows": 3}, "windows"),
        ({"embedding": None}, "embedding"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"embedding": "inner"}, r"no output 'inner' \(embedding\); it has embedding, odds, scores"),
        ({"scores": "probs"}, r"no output 'probs' \(scores\)"),
        ({"scores": "odds"}, 'set scores_are = "log-odds"'),
        ({"window": 4_001}, r"one input, float32 \[n, 4001\]; it takes"),
        ({"width": 100}, "has 100 values; a student needs at least 128"),
        ({"classes": ["Dog", "Siren"]}, "the description names 2 classes"),
        ({"classes": ["Dog", "Dog", "Rain"]}, "named twice: Dog"),
        ({"classes": []}, "there are none"),
        ({"classes": ["a", "b", "c"]}, "none of the classes belongs to a category"),
        ({"categories": {"dog": ["Wolf"]}}, "categories.dog: there is no class Wolf"),
        ({"categories": {"cat": ["Dog"]}}, "categories names cat; it may name engine"),
    ],
)
def test_what_is_wrong_with_a_description_is_stated(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        Teacher(write(tmp_path, **changes), threads=1)


def test_files_that_are_not_there_or_no_network_are_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "teacher.onnx").write_bytes(b"hello")
    with pytest.raises(InvalidError, match=r"teacher.onnx is not an ONNX model"):
        Teacher(path)
    (tmp_path / "teacher.onnx").unlink()
    with pytest.raises(UnavailableError, match=r"cannot open .*teacher.onnx"):
        Teacher(path)
    with pytest.raises(UnavailableError, match=r"none.toml"):
        Teacher(tmp_path / "none.toml")
    with pytest.raises(UnavailableError, match=r"names.txt"):
        Teacher(write(tmp_path, classes="names.txt"))


def test_student_and_teacher_get_the_same_mixture_of_sound(sounds: Path) -> None:
    bank = gather([("street", recordings(sounds / "street"))], scenes=1, seed=0, tick=lambda _: None, rate_hz=16_000)
    assert bank.frames.shape[1] == 160
    mixer = SoundMixer(bank, 16_000)
    chosen = np.random.default_rng(0).integers(len(bank.starts), size=(4, 3))
    first, again, quiet = (
        mixer.mix(chosen, np.random.default_rng(1), 10, gain) for gain in (None, np.zeros(4), np.full(4, -20.0))
    )
    assert first.frames.shape == (40, SAMPLES)
    np.testing.assert_array_equal(first.frames, again.frames)
    assert np.abs(first.frames).max() <= 1.0
    patch = FrontEnd(OFFSET).log_mel(first.frames[17])[:PATCH].numpy()
    np.testing.assert_allclose(first.patches[17][:95], patch[:95], atol=1e-4)
    assert np.abs(quiet.frames).max() < np.abs(first.frames).max()
    assert quiet.patches.mean() < first.patches.mean() - 0.5
    moments = mixer.moments(np.arange(3))
    assert moments.shape == (3, SAMPLES)
    scene = make_scene(np.random.default_rng(0), 16_000).waveform
    assert mixer.of_sound(scene).patches.shape == (10, PATCH, BANDS)


def test_a_files_network_alone_gives_the_features_of_its_sound() -> None:
    sound = make_scene(np.random.default_rng(0), 16_000).waveform
    embed = PatchEmbedder(SMALL_FILE, threads=1)
    assert embed.space == EARWITNESS_SMALL
    found = embed(FrontEnd(OFFSET).patches(sound).numpy())
    expected = Backbone(SMALL_FILE).extract(sound, 16_000)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert embed(np.empty((0, PATCH, BANDS), np.float32)).shape == (0, 128)


def test_a_teacher_of_ones_own_teaches_a_backbone_of_its_own(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PACKAGES", ())
    monkeypatch.setattr(pipeline, "fetch_packages", lambda into, _tick: into)
    few = (("SCENES", 2), ("SCALED_ON", 64), ("LABELLED", 100), ("LABELLED_SCENES", 2), ("LABELLED_EMPTY", 3))
    for name, value in few:
        monkeypatch.setattr(pipeline, name, value)
    torch.manual_seed(0)
    described, reported = write(tmp_path), list[str]()
    space = EARWITNESS_SMALL.__class__(
        "mine-u8/1", *EARWITNESS_SMALL.shape, EARWITNESS_SMALL.low, EARWITNESS_SMALL.high
    )
    order = pipeline.Order(tmp_path / "made", (sounds / "street",), teacher=described, space=space)
    description = pipeline.build_backbone(tmp_path / "work", order, PLAN, reported.append)
    assert description == tmp_path / "made" / "mine.toml"
    assert Backbone(description).space == space
    assert any(line.startswith("the teacher has no class of engine, ") for line in reported)
    monkeypatch.setattr("hub.training.datasets.feature_file.get_space", lambda _id: space)
    made = load_features(tmp_path / "work" / "mixtures")
    assert made.fine is not None
    assert made.fine.shape == (105, 3)

    before = description.with_suffix(".onnx").read_bytes()
    kept = pipeline.Order(order.into, order.folders, teacher=described, space=space, keep=True)
    assert pipeline.build_backbone(tmp_path / "work", kept, PLAN, reported.append) == description
    assert description.with_suffix(".onnx").read_bytes() == before


def test_what_another_teacher_teaches_does_not_take_the_name_of_what_ships(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"a name of its own, such as --id mine-u8/1"):
        pipeline.Order(tmp_path, teacher=tmp_path / "teacher.toml")
    with pytest.raises(InvalidError, match=r"'Mine' is no id of a feature space"):
        pipeline.Order(
            tmp_path,
            space=EARWITNESS_SMALL.__class__(
                "Mine", *EARWITNESS_SMALL.shape, EARWITNESS_SMALL.low, EARWITNESS_SMALL.high
            ),
        )
