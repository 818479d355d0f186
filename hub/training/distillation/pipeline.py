"""From recordings to the feature space that ships, step by step; what is done is kept and not done again."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from hub.training.dataset import joined
from hub.training.datasets.feature_file import save_features
from hub.training.distillation.debian_packages import PACKAGES, fetch_packages
from hub.training.distillation.distillation import DistilPlan, distill, load_student, save_student
from hub.training.distillation.labelled_mixtures import Labeller, empty, label_mixtures, scenes
from hub.training.distillation.mixer import Mixer, mixer_of
from hub.training.distillation.mixtures import SOURCES
from hub.training.distillation.onnx_export import PatchEmbedder, description_file, export, scales
from hub.training.distillation.spectrogram_bank import MOST_S, SpectrogramBank, gather, recordings, weights
from hub.training.distillation.student import Student
from hub.training.distillation.teacher import Teacher
from hub.training.distillation.yamnet import yamnet_teacher
from shared.backbones.manifest import ID, read
from shared.backbones.onnx_backbone import Backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, FeatureSpace

SCENES: Final = 600
SCALED_ON: Final = 4096
"""Mixtures that the range of the 128 values is measured on."""
LABELLED: Final = 4000
LABELLED_SCENES: Final = 1200
LABELLED_EMPTY: Final = 400
_BLOCK: Final = 4096

ReportFn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """The parts of a distillation.

    Attributes:
        into: where the ONNX file and its description are written.
        folders: further recordings to learn from.
        leave_out: recordings in them whose name begins with this are excluded; "" excludes none.
        teacher: description of the teacher; None: YAMNet.
        space: feature space of the student.
        seconds: of each package or folder that are read at most.
        keep: the backbone is there already and is kept: only labelled clips are made for it.

    Raises:
        InvalidError: an id that none can be, or that of the backbone that ships for another teacher's.
    """

    into: Path
    folders: tuple[Path, ...] = ()
    leave_out: str = ""
    teacher: Path | None = None
    space: FeatureSpace = EARWITNESS_SMALL
    seconds: int = int(MOST_S)
    keep: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(ID, self.space.id):
            raise InvalidError(
                f"{self.space.id!r} is no id of a feature space: a name and a version, such as mine-u8/1"
            )
        if self.teacher is not None and self.space.id == EARWITNESS_SMALL.id and not self.keep:
            raise InvalidError(
                f"{EARWITNESS_SMALL.id} stands for the backbone that ships: give what this teacher teaches a"
                f" name of its own,"
                " such as --id mine-u8/1"
            )

    @property
    def description(self) -> Path:
        """Path of the backbone's description."""
        return description_file(self.into, self.space)


def build_backbone(work: Path, order: Order, plan: DistilPlan, report: ReportFn) -> Path:
    """Make a backbone, and labelled clips to train its retrieval network with.

    Args:
        work: where packages, bank, student and labelled clips are kept.
        order: what to make.
        plan: how long to learn.
        report: called with a line on each step.

    Returns:
        The description.

    Raises:
        UnavailableError: packages, or a file, cannot be had.
        InvalidError: no recordings, a teacher that is not as described, or `work` holds what other arguments made.
    """
    files_of = _recordings(order.folders, order.leave_out)
    threads = torch.get_num_threads()
    # Loaded first, so that a faulty teacher is rejected before the work begins.
    teacher = None if order.teacher is None else Teacher(order.teacher, threads)
    arguments = {
        "data": sorted(files_of),
        "leave_out": order.leave_out,
        "plan": asdict(plan),
        "seconds": order.seconds,
        "teacher": None if teacher is None else teacher.sha256,
    }
    if order.keep:
        read(order.description)  # it is there
    _stay_with(work / "arguments.json", arguments)
    teacher = Teacher(yamnet_teacher(work), threads) if teacher is None else teacher
    if teacher.unknown:
        report(f"the teacher has no class of {', '.join(teacher.unknown)}")
    mixer = mixer_of(_bank(work, files_of, order.seconds, teacher.rate_hz, plan.seed, report), teacher.rate_hz)
    odds = _odds(work / "odds.npy", mixer, teacher, report)
    drawn = weights(mixer.bank, odds.argmax(axis=1))
    description = order.description if order.keep else _trained(work, order, mixer, drawn, teacher, plan, report)
    embed = PatchEmbedder(description, threads)
    label = Labeller(embed.space, teacher, embed)
    parts = [
        label_mixtures(mixer, drawn, odds, label, LABELLED, plan.seed),
        scenes(mixer, label, LABELLED_SCENES, plan.seed),
        empty(mixer, label, LABELLED_EMPTY, plan.seed),
    ]
    save_features(work / "mixtures", joined(parts))
    report(f"wrote {description} and {work / 'mixtures'}")
    return description


def _trained(
    work: Path,
    order: Order,
    mixer: Mixer,
    drawn: npt.NDArray[np.float64],
    teacher: Teacher,
    plan: DistilPlan,
    report: ReportFn,
) -> Path:
    """Train a student, or load the one in the work folder, and export it."""
    kept = work / "student.safetensors"
    if not kept.exists():

        def on_block(number: int, loss: float, _student: Student) -> None:
            report(f"block {number} of {plan.blocks}: loss {loss:.4f}")

        student, target = distill(mixer, drawn, teacher, plan, on_block=on_block)
        report(f"the target keeps {target.kept:.1%} of the teacher's variance")
        with _whole(kept) as partial:
            save_student(partial, student, plan)
    student = load_student(kept)
    rng = np.random.default_rng([plan.seed, 1])
    mixture = mixer.mix(rng.choice(len(drawn), size=(SCALED_ON, SOURCES), p=drawn), rng)
    description = export(student, scales(_embedded(student, mixture.patches)), order.into, order.space)
    Backbone(description)  # it can be loaded
    return description


def _recordings(folders: Iterable[Path], leave_out: str) -> dict[str, list[Path]]:
    found = {}
    for folder in folders:
        files_of = [file for file in recordings(folder) if not leave_out or not file.name.startswith(leave_out)]
        if not files_of:
            raise InvalidError(f"no recordings in {folder}")
        found[str(folder.resolve())] = files_of
    return found


def _stay_with(path: Path, arguments: dict[str, Any]) -> None:
    """Reject other arguments than before: they could, for example, include held-out recordings."""
    text = json.dumps(arguments, sort_keys=True)
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise InvalidError(
                    f"{path.parent} holds results of other arguments: remove it, or pass another --work"
                )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"cannot write to {path.parent}: {error.strerror or error}") from error


def _bank(
    work: Path, files_of: dict[str, list[Path]], seconds: int, rate_hz: int | None, seed: int, report: ReportFn
) -> SpectrogramBank:
    path = work / "bank.npz"
    if path.exists():
        return SpectrogramBank.load(path)
    packages = fetch_packages(work / "packages", lambda name: report(f"unpacked {name}"))
    named: list[tuple[str, Iterable[Path]]] = [(name, recordings(packages / name)) for name in sorted(PACKAGES)]
    named += [(Path(folder).name, files) for folder, files in files_of.items()]
    bank = gather(named, SCENES, seed, lambda name: report(f"read {name}"), rate_hz=rate_hz, most_s=seconds)
    with _whole(path) as partial:
        bank.save(partial)
    return bank


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name; rename it to the file once it is complete."""
    partial = path.with_name(f"partial-{path.name}")
    yield partial
    partial.replace(path)


def _odds(path: Path, mixer: Mixer, teacher: Teacher, report: ReportFn) -> npt.NDArray[np.float16]:
    """Return the teacher's log-odds of every moment, float16 [moments, classes]."""
    if not path.exists():
        parts, moments = [], len(mixer.bank.starts)
        for at in range(0, moments, _BLOCK):
            frames = mixer.moments(np.arange(at, min(at + _BLOCK, moments)))
            parts.append(teacher.predict(frames)[1].astype(np.float16))
            report(f"the teacher processed {at + len(frames)} of {moments} moments")
        with _whole(path) as partial:
            np.save(partial, np.concatenate(parts))
    found: npt.NDArray[np.float16] = np.load(path)
    return found


def _embedded(student: Student, patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        parts = [student.embed(torch.from_numpy(patches[at : at + 256])) for at in range(0, len(patches), 256)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)
