"""The experiments on sources behind docs/results.md: the other half, sensors never heard, classes from few examples.

| experiment | space | what it measures |
|---|---|---|
| `halves` | VGGish | the shipped checkpoint on halves of the evaluation split's queries |
| `sensors` | earwitness-small | kinds, over folds by sensor; network and identity are trained anew in each |
| `halves` | earwitness-small | the same folds, on halves of the recordings |
| `few-shot` | earwitness-small | the shipped checkpoint on ESC-10 |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hub.training.datasets import Reader
from hub.training.datasets.esc10 import esc10_files
from hub.training.few_shot_bench import few_shot_of
from hub.training.measure import benchmark_of, measure
from hub.training.sensor_bench import SensorBench
from shared.errors import Invalid
from shared.space import SHORT_NAMES, SMALL, VGGISH

HALVES: Final = "halves"
SENSORS: Final = "sensors"
FEW_SHOT: Final = "few-shot"
METHODS: Final = (HALVES, SENSORS, FEW_SHOT)
PLANNED: Final = ((VGGISH.id, HALVES), (SMALL.id, FEW_SHOT), (SMALL.id, SENSORS), (SMALL.id, HALVES))
DIVISIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """What an experiment on sources found.

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


def measure_sources(
    space: str, method: str, folders: Sequence[Path], cache: Path | None, tell: Callable[[str], None]
) -> Measured:
    """Run one of `PLANNED`.

    Args:
        space: id of the feature space.
        method: one of `METHODS`.
        folders: data of the space: the benchmark's first; ESC-10 anywhere.
        cache: where features of recordings are kept; None: nowhere.
        tell: told in words what happens.

    Raises:
        Invalid: data that does not fit.
        Unavailable: a file cannot be opened.
    """
    reader = Reader(space, cache=cache)
    short = next(short for short, known in SHORT_NAMES.items() if known == space)
    line = f"earwitness-hub evaluate --space {short}"
    if method == FEW_SHOT:
        folder = next((one for one in folders if esc10_files(one)), None)
        if folder is None:
            raise Invalid("few-shot needs a folder of ESC-10 among the recordings")
        shots = few_shot_of(reader, folder, None, seed=0)
        return Measured(
            shots.document(), folder.name, shots.clips, shots.clips, f"{line} --data {folder.name}/ --few-shot"
        )
    folder = folders[0]
    if space == VGGISH.id:
        benchmark = benchmark_of(reader, folder, None, halves=True)
        found = measure(benchmark, None, baselines=True, on_query=lambda _method, _query: None)
        command = f"{line} --data {folder.name}/ --halves --baselines"
    else:
        bench = SensorBench(space, Path(), cache, lambda: None, tell)
        over = bench.halves if method == HALVES else bench.over_folds
        found = over(folder, None, seed=0, divisions=DIVISIONS, on_query=lambda _method, _query: None)
        command = f"{line} --sonyc {folder.name}/{' --halves' if method == HALVES else ''}"
    return Measured(found.document(), folder.name, found.queries, found.queries, command)
