"""From recordings to the feature space that ships, step by step; what is done is kept and not done again."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from hub.training.datasets.features import save_features
from hub.training.distil.bank import Bank, gather, recordings, weights
from hub.training.distil.clips import labelled
from hub.training.distil.export import export, scales
from hub.training.distil.learning import DistilPlan, distil, load_student, save_student
from hub.training.distil.mixtures import SOURCES, mix
from hub.training.distil.packages import PACKAGES, fetch_packages
from hub.training.distil.student import Student
from hub.training.distil.teacher import Teacher
from shared.backbones.backbone import Backbone
from shared.errors import Invalid, Unavailable
from shared.space import SMALL, Features

SCENES: Final = 600
SCALED_ON: Final = 4096
"""Mixtures that the range of the 128 values is measured on."""
LABELLED: Final = 4000
_BLOCK: Final = 4096

Tell = Callable[[str], None]


def make(work: Path, into: Path, folders: Iterable[Path], leave_out: str, plan: DistilPlan, tell: Tell) -> Path:
    """Make the backbone.

    Args:
        work: where packages, bank, student and labelled mixtures are kept.
        into: where the ONNX file and its description are written.
        folders: further recordings to learn from.
        leave_out: recordings in them whose name begins so are not heard; "" leaves none out.
        plan: how long to learn.
        tell: told what happens.

    Returns:
        The description.

    Raises:
        Unavailable: packages, or a file, cannot be had.
        Invalid: no recordings, or `work` holds what other arguments made.
    """
    heard = _recordings(folders, leave_out)
    _stay_with(work / "arguments.json", {"data": sorted(heard), "leave_out": leave_out, "plan": asdict(plan)})
    bank = _bank(work, heard, plan.seed, tell)
    teacher = Teacher(torch.get_num_threads())
    odds = _odds(work / "odds.npy", bank, teacher, tell)
    drawn = weights(bank, odds.argmax(axis=1))
    kept = work / "student.safetensors"
    if not kept.exists():

        def on_block(number: int, loss: float, _student: Student) -> None:
            tell(f"block {number} of {plan.blocks}: loss {loss:.4f}")

        student, target = distil(bank, drawn, teacher, plan, on_block=on_block)
        tell(f"the target keeps {target.kept:.1%} of the teacher's variance")
        with _whole(kept) as partial:
            save_student(partial, student, plan)
    student = load_student(kept)
    rng = np.random.default_rng([plan.seed, 1])
    mixtures = mix(bank, rng.choice(len(drawn), size=(SCALED_ON, SOURCES), p=drawn), rng)
    factors = scales(_embedded(student, mixtures))
    description = export(student, factors, into)
    Backbone(description)  # it can be loaded

    def embed(patches: npt.NDArray[np.float32]) -> Features:
        return SMALL.quantise(_embedded(student, patches) * factors)

    clips = labelled(bank, drawn, odds, teacher, embed, LABELLED, plan.seed)
    save_features(work / "mixtures", clips)
    tell(f"wrote {description} and {work / 'mixtures'}")
    return description


def _recordings(folders: Iterable[Path], leave_out: str) -> dict[str, list[Path]]:
    found = {}
    for folder in folders:
        heard = [file for file in recordings(folder) if not leave_out or not file.name.startswith(leave_out)]
        if not heard:
            raise Invalid(f"no recordings in {folder}")
        found[str(folder.resolve())] = heard
    return found


def _stay_with(path: Path, arguments: dict[str, Any]) -> None:
    """Refuse to go on with other arguments: held-out recordings, for one, would be heard after all."""
    text = json.dumps(arguments, sort_keys=True)
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise Invalid(f"{path.parent} holds what other arguments made: remove it, or give another --work")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"cannot write to {path.parent}: {error.strerror or error}") from error


def _bank(work: Path, heard: dict[str, list[Path]], seed: int, tell: Tell) -> Bank:
    path = work / "bank.npz"
    if path.exists():
        return Bank.load(path)
    packages = fetch_packages(work / "packages", lambda name: tell(f"unpacked {name}"))
    named: list[tuple[str, Iterable[Path]]] = [(name, recordings(packages / name)) for name in sorted(PACKAGES)]
    named += [(Path(folder).name, files) for folder, files in heard.items()]
    bank = gather(named, SCENES, seed, lambda name: tell(f"read {name}"))
    with _whole(path) as partial:
        bank.save(partial)
    return bank


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes the file once all of it is there."""
    partial = path.with_name(f"partial-{path.name}")
    yield partial
    partial.replace(path)


def _odds(path: Path, bank: Bank, teacher: Teacher, tell: Tell) -> npt.NDArray[np.float16]:
    """What the teacher says of every moment, in log-odds: float16 [moments, 521]."""
    if not path.exists():
        parts = []
        for at in range(0, len(bank.starts), _BLOCK):
            patches = bank.patches(np.arange(at, min(at + _BLOCK, len(bank.starts))))
            parts.append(teacher.hear(patches)[1].astype(np.float16))
            tell(f"the teacher heard {at + len(patches)} of {len(bank.starts)} moments")
        with _whole(path) as partial:
            np.save(partial, np.concatenate(parts))
    found: npt.NDArray[np.float16] = np.load(path)
    return found


def _embedded(student: Student, patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        parts = [student.embed(torch.from_numpy(patches[at : at + 256])) for at in range(0, len(patches), 256)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)
