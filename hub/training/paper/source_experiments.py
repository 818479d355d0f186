"""The experiments on sources behind docs/results.md: the other half, unseen sensors, classes from few examples.

| experiment | space | what it measures |
|---|---|---|
| `halves` | VGGish | the shipped checkpoint on halves of the evaluation split's queries |
| `sensors` | earwitness-small | kinds, over folds by sensor; network and identity are trained again in each |
| `halves` | earwitness-small | the same folds, on halves of the recordings |
| `few-shot` | earwitness-small | the shipped checkpoint on ESC-10 |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hub.training.compared_methods import benchmark_of, measure
from hub.training.datasets.esc10 import esc10_files
from hub.training.few_shot_benchmark import few_shot_of
from hub.training.sensor_evaluation import SensorEvaluation
from shared.feature_space import EARWITNESS_SMALL, SHORT_NAMES, VGGISH

HALVES: Final = "halves"
SENSORS: Final = "sensors"
FEW_SHOT: Final = "few-shot"
METHODS: Final = (HALVES, SENSORS, FEW_SHOT)
PLANNED: Final = (
    (VGGISH.id, HALVES),
    (EARWITNESS_SMALL.id, FEW_SHOT),
    (EARWITNESS_SMALL.id, SENSORS),
    (EARWITNESS_SMALL.id, HALVES),
)
DIVISIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of an experiment on sources.

    Attributes:
        document: figures, as JSON values.
        data: name of the folder.
        queries: how many clips were asked.
        database: how many could be found.
        command: that gives the same figures.
    """

    document: dict[str, Any]
    data: str
    queries: int
    database: int
    command: str


def data_of(method: str, folders: Sequence[Path]) -> Path | None:
    """Return the folder that an experiment is measured on: ESC-10 for few-shot, else the first; None without it."""
    return next((one for one in folders if method != FEW_SHOT or esc10_files(one)), None)


def measure_sources(bench: SensorEvaluation, method: str, folder: Path) -> Measured:
    """Run one of `PLANNED`.

    Args:
        bench: of its feature space; of two experiments with the same one the second need not train again.
        method: one of `METHODS`.
        folder: as of `data_of`.

    Raises:
        InvalidError: data that does not fit.
        UnavailableError: a file cannot be opened.
    """
    reader = bench.reader
    short = next(short for short, known in SHORT_NAMES.items() if known == reader.space)
    line = f"earwitness-hub evaluate --space {short}"
    if method == FEW_SHOT:
        shots = few_shot_of(reader, folder, None, seed=0)
        return Measured(
            shots.document(), folder.name, shots.clips, shots.clips, f"{line} --data {folder.name}/ --few-shot"
        )
    if reader.space == VGGISH.id:
        benchmark = benchmark_of(reader, folder, None, halves=True)
        found = measure(benchmark, None, baselines=True, on_query=lambda _method, _query: None)
        command = f"{line} --data {folder.name}/ --halves --baselines"
    else:
        over = bench.halves if method == HALVES else bench.over_folds
        found = over(folder, None, seed=0, divisions=DIVISIONS, on_query=lambda _method, _query: None)
        command = f"{line} --sonyc {folder.name}/{' --halves' if method == HALVES else ''}"
    return Measured(found.document(), folder.name, found.queries, found.queries, command)
