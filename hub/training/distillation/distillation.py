"""Distillation: train the student to predict the teacher's output for mixtures.

1. `TeacherProjection` projects the teacher's embedding on its 128 strongest principal components over mixtures.
2. The teacher embeds fresh mixtures block by block into a buffer. The student takes `REPLAY` times as
   many patches from the buffer at random.
3. Loss: mean squared error of the components, relative to their variance, plus cross-entropy of all classes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hub.training.distillation.mixer import Mixer
from hub.training.distillation.mixtures import SOURCES
from hub.training.distillation.student import WIDTH, Student
from hub.training.distillation.teacher import Teacher

REPLAY: Final = 3
CLASS_WEIGHT: Final = 20.0
BUFFER_BLOCKS: Final = 24


@dataclass(frozen=True, slots=True)
class DistilPlan:
    """Hyperparameters of a distillation.

    Attributes:
        blocks: blocks of fresh mixtures.
        block: mixtures per block.
        batch: patches per step.
        rate: highest learning rate; falls to zero by a half cosine.
        seed: fixes all randomness, but not the order of sums on several threads.
    """

    blocks: int = 125
    block: int = 4096
    batch: int = 128
    rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TeacherProjection:
    """The target of the student's 128 values: the strongest principal components of the teacher's embedding.

    Attributes:
        mean: float32 [dimension].
        axes: float32 [128, dimension], orthonormal, strongest first.
        spread: root of the components' mean variance.
        kept: share of the embedding's variance that they have.
    """

    mean: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]
    spread: float
    kept: float

    @classmethod
    def of(cls, embeddings: npt.NDArray[np.float32]) -> "TeacherProjection":
        """Compute the projection from embeddings float32 [n, dimension]."""
        mean = embeddings.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(embeddings.T.astype(np.float64)))
        strongest = np.argsort(-values)[:WIDTH]
        variance = values[strongest]
        axes = vectors[:, strongest].T.astype(np.float32)
        return cls(mean, axes, float(np.sqrt(variance.mean())), float(variance.sum() / values.sum()))

    def __call__(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Components float32 [n, 128] of embeddings [n, dimension]; their mean variance is 1."""
        return np.asarray((embeddings - self.mean) @ self.axes.T / self.spread, dtype=np.float32)


class Buffer:
    """Ring buffer of mixtures with the teacher's targets and class scores."""

    def __init__(self, size: int, classes: int) -> None:
        self._patches = np.empty((size, 96, 64), np.float16)
        self._target = np.empty((size, WIDTH), np.float16)
        self._classes = np.empty((size, classes), np.float16)
        self._added = 0

    def add(
        self,
        patches: npt.NDArray[np.float32],
        target: npt.NDArray[np.float32],
        classes: npt.NDArray[np.float32],
    ) -> None:
        """Add a block; its length divides the buffer's."""
        at = self._added % len(self._patches)
        rows = slice(at, at + len(patches))
        self._patches[rows], self._target[rows], self._classes[rows] = patches, target, classes
        self._added += len(patches)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw `n` patches at random, with their targets and class probabilities."""
        rows = rng.integers(min(self._added, len(self._patches)), size=n)
        patches, target, classes = (
            torch.from_numpy(kept[rows]).float() for kept in (self._patches, self._target, self._classes)
        )
        return patches, target, torch.sigmoid(classes)


def distill(
    mixer: Mixer,
    drawn: npt.NDArray[np.float64],
    teacher: Teacher,
    plan: DistilPlan,
    *,
    on_block: Callable[[int, float, Student], None] = lambda _number, _loss, _student: None,
) -> tuple[Student, TeacherProjection]:
    """Train a student.

    Args:
        mixer: makes mixtures.
        drawn: float64 [moments], probability of drawing each moment.
        teacher: the teacher.
        plan: hyperparameters.
        on_block: called with the number of each block from 1, its mean loss, and the student.

    Returns:
        The student in eval mode, and its target.
    """
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    student = Student(len(teacher.classes)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(student.parameters(), lr=plan.rate, weight_decay=1e-3)
    buffer = Buffer(BUFFER_BLOCKS * plan.block, len(teacher.classes))
    target: TeacherProjection | None = None
    steps = REPLAY * plan.block // plan.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps * plan.blocks))
    for number in range(1, plan.blocks + 1):
        mixture = mixer.mix(rng.choice(len(drawn), size=(plan.block, SOURCES), p=drawn), rng)
        embeddings, classes = teacher.predict(mixture.frames)
        target = target or TeacherProjection.of(embeddings)
        buffer.add(mixture.patches, target(embeddings), classes)
        student.train()
        total = 0.0
        for _ in range(steps):
            patches, wanted, scores = buffer.draw(plan.batch, rng)
            with torch.autocast("cpu", torch.bfloat16):
                embedding, odds = student(patches)
            loss = nn.functional.mse_loss(embedding.float(), wanted)
            loss = loss + CLASS_WEIGHT * nn.functional.binary_cross_entropy_with_logits(odds.float(), scores)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        student.eval()
        on_block(number, total / steps, student)
    assert target is not None  # noqa: S101 - there is at least one block
    return student, target


def _rate(step: int, of: int) -> float:
    """Share of the highest learning rate: a short warm-up, then a half cosine."""
    return float(min(1.0, (step + 1) / 100) * 0.5 * (1.0 + np.cos(np.pi * step / of)))


def save_student(path: Path, student: Student, plan: DistilPlan) -> None:
    """Keep a student's weights, to export or measure it later."""
    save_file(
        {name: value.contiguous() for name, value in student.state_dict().items()},
        path,
        metadata={"plan": json.dumps(asdict(plan))},
    )


def load_student(path: Path) -> Student:
    """Read what `save_student` wrote; in eval mode."""
    tensors = load_file(path)
    student = Student(len(tensors["classes.bias"]))
    student.load_state_dict(tensors)
    return student.requires_grad_(False).eval()
