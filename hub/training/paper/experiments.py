"""The experiments behind docs/results.md: what is trained and measured, and the record of each.

An experiment trains one network (unless it is committed) and measures it. Its record is a JSON file with commit,
seed, data and commands; one that is there already is not run again, so that a report goes on where it stopped.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load, save
from hub.training import recipes
from hub.training.benchmark import Benchmark, Rank, by_chance, by_cosine, by_network, by_network_and_cosine
from hub.training.compared_methods import SHIPPED, part_of
from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader
from hub.training.evaluation import Part, evaluate_parts
from hub.training.paper import source_experiments
from hub.training.paper.source_experiments import data_of, measure_sources
from hub.training.paper.variants import NAMES
from hub.training.sensor_evaluation import SensorEvaluation
from shared.command_line import to_json
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL, SHORT_NAMES, VGGISH

SEEDS: Final = (0, 1, 2)
EPOCHS: Final = {VGGISH.id: 10, LOGMEL.id: 20}
"""Epochs of each variant, on everything: the same pairs for all of them. The committed `paper` had more."""
QUERIES: Final = 200
"""Most queries that variants are measured on, the same for all: eight sub-models cost eight times as much a pair."""
SCENES: Final = 1_000
"""Synthetic scenes that the log-mel variants learn beside the recordings."""

ReportFn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row, or a few that share a network.

    Attributes:
        space: id of the feature space.
        method: of `methods.METHODS`; or `committed` (what the repository carries), or `untrained`; or one of
            `source_experiments.METHODS`.
        seed: of the training.
    """

    space: str
    method: str
    seed: int = 0

    @property
    def name(self) -> str:
        """File name of its record and network."""
        short = next(short for short, known in SHORT_NAMES.items() if known == self.space)
        return f"{short}-{self.method}-{self.seed}"

    @property
    def variant(self) -> bool:
        """Return whether it is one of the paper's variants."""
        return self.method in NAMES

    @property
    def queries(self) -> int | None:
        """Most queries it is measured on; None: all."""
        return QUERIES if self.variant else None


def experiments() -> Iterator[Experiment]:
    """Return all experiments, the quick and important first."""
    yield Experiment(VGGISH.id, "untrained")
    yield Experiment(VGGISH.id, "committed")
    yield Experiment(LOGMEL.id, "untrained")
    yield Experiment(LOGMEL.id, "committed")
    yield from (Experiment(space, method) for space, method in source_experiments.PLANNED)
    for method in (recipes.TAGGED, recipes.TAGS_ONLY):
        yield from (Experiment(VGGISH.id, method, seed) for seed in SEEDS)
    single = [name for name in NAMES if name.startswith("single")]
    multi = [name for name in NAMES if name.startswith("multi")]
    yield from (Experiment(VGGISH.id, name) for name in single)
    yield from (Experiment(LOGMEL.id, name) for name in single)
    yield from (Experiment(VGGISH.id, name) for name in multi)
    yield from (Experiment(LOGMEL.id, name) for name in multi)
    yield from (Experiment(VGGISH.id, name, seed) for seed in SEEDS[1:] for name in single)


@dataclass(slots=True)
class ExperimentRunner:
    """Runs experiments on data that is read once.

    Attributes:
        folders: data by id of the feature space; the first of each is the benchmark.
        work: where trained networks are kept.
        records: where records are kept.
        cache: where features of recordings are kept; None: nowhere.
        report: called with a line on each step.
    """

    folders: dict[str, tuple[Path, ...]]
    work: Path
    records: Path
    cache: Path | None
    report: ReportFn

    _data: dict[str, tuple[Dataset, Dataset]] = field(init=False, default_factory=dict)
    _benchmarks: dict[str, Benchmark] = field(init=False, default_factory=dict)
    _benches: dict[str, SensorEvaluation] = field(init=False, default_factory=dict)

    def record(self, experiment: Experiment) -> dict[str, Any] | None:
        """Return the record of an experiment; None if it was not run.

        Raises:
            InvalidError: the record is damaged.
        """
        path = self.records / f"{experiment.name}.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InvalidError(f"{path} is damaged; remove it to run the experiment again") from error

    def run(self, experiment: Experiment) -> None:
        """Run an experiment that has no record yet, if there is data for it.

        Raises:
            InvalidError: data that does not fit.
            UnavailableError: a file cannot be read or written.
        """
        if self.record(experiment) is not None or experiment.space not in self.folders:
            return
        if experiment.method in source_experiments.METHODS:
            self._run_sources(experiment)
            return
        benchmark = self._benchmark(experiment.space)
        checkpoint, commands = self._network(experiment)
        began = time.monotonic()
        part = _part(experiment, benchmark.first(experiment.queries), checkpoint)
        self.report(f"{experiment.name}: measuring {', '.join(part.methods)}")
        found = evaluate_parts([part])
        record = {
            "space": experiment.space,
            "method": experiment.method,
            "seed": experiment.seed,
            "commit": _commit(),
            "data": [folder.name for folder in self.folders[experiment.space]],
            "queries": len(benchmark.first(experiment.queries).queries),
            "database": len(benchmark.database),
            "commands": commands,
            "minutes": {
                "train": None if checkpoint is None else checkpoint.record.get("minutes"),
                "measure": _minutes(began),
            },
            "chosen": {} if checkpoint is None else _chosen(checkpoint),
            **found.document(),
        }
        self._keep(experiment, record)

    def _run_sources(self, experiment: Experiment) -> None:
        folder = data_of(experiment.method, self.folders[experiment.space])
        if folder is None:
            self.report(f"{experiment.name}: left out, as no folder is ESC-10")
            return
        self.report(f"{experiment.name}: measuring")
        began = time.monotonic()
        if experiment.space not in self._benches:
            bench = SensorEvaluation(experiment.space, Path(), self.cache, lambda: None, self.report)
            self._benches[experiment.space] = bench
        found = measure_sources(self._benches[experiment.space], experiment.method, folder)
        record = {
            "space": experiment.space,
            "method": experiment.method,
            "seed": experiment.seed,
            "commit": _commit(),
            "data": [found.data],
            "queries": found.queries,
            "database": found.database,
            "commands": [found.command],
            "minutes": {"train": None, "measure": _minutes(began)},
            **found.document,
        }
        self._keep(experiment, record)

    def _keep(self, experiment: Experiment, record: dict[str, Any]) -> None:
        self.records.mkdir(parents=True, exist_ok=True)
        (self.records / f"{experiment.name}.json").write_text(to_json(record, indent=1) + "\n", encoding="utf-8")

    def _benchmark(self, space: str) -> Benchmark:
        if space not in self._benchmarks:
            self.report(f"reading {self.folders[space][0]}")
            reader = DatasetReader(space, cache=self.cache)
            self._benchmarks[space] = reader.benchmark(self.folders[space][0], recipes.HELD_OUT)
        return self._benchmarks[space]

    def _training_data(self, space: str) -> tuple[Dataset, Dataset]:
        if space not in self._data:
            sources = recipes.Sources(self.folders[space], SCENES if space == LOGMEL.id else 0)
            self.report(f"reading the training data of {space}")
            self._data[space] = recipes.load_data(
                sources, DatasetReader(space, cache=self.cache), recipes.HELD_OUT, 0
            )
        return self._data[space]

    def _network(self, experiment: Experiment) -> tuple[Checkpoint | None, list[str]]:
        """Return the network, trained or as it is kept, and the commands that give it."""
        short = experiment.name.split("-", 1)[0]
        folders = " ".join(f"--data {folder.name}/" for folder in self.folders[experiment.space])
        measure = f"earwitness-hub evaluate --space {short} --data {self.folders[experiment.space][0].name}/"
        if experiment.method == "untrained":
            return None, [measure]
        if experiment.method == "committed":
            return load(default_checkpoint(experiment.space)), [
                f"{measure} --baselines" if short == "vggish" else measure
            ]
        path = self.work / f"{experiment.name}.safetensors"
        first = self.work / f"{replace(experiment, seed=0).name}.safetensors"
        alike = not experiment.variant and experiment.seed > 0
        train = (
            f"earwitness-hub train --space {short} {folders} --architecture {experiment.method} --seed"
            f" {experiment.seed}"
        )
        if experiment.variant:
            train += f" --epochs {EPOCHS[experiment.space]} --no-validation"
            train += f" --synthetic-clips {SCENES}" if experiment.space == LOGMEL.id else ""
        elif alike:
            train += f" --calibration-from {first.name}"
        commands = [f"{train} --out {path.name}", f"{measure} --checkpoint {path.name}"]
        if experiment.queries:
            commands[1] += f" --max-queries {experiment.queries}"
        if not path.is_file():
            order = recipes.TrainingSpec(
                experiment.method,
                experiment.seed,
                epochs=EPOCHS[experiment.space] if experiment.variant else None,
                validation=not experiment.variant,
                like=load(first) if alike else None,
                state=path.with_suffix(".state"),
            )
            data, aside = self._training_data(experiment.space)
            began = time.monotonic()
            made = recipes.run_training(
                data,
                aside,
                order,
                on_epoch=lambda epoch: self.report(f"{experiment.name}: {recipes.format_epoch(epoch)}"),
                on_step=lambda *_: None,
            )
            save(path, replace(made, record={**made.record, "minutes": _minutes(began)}))
            for left in self.work.glob(f"{path.stem}.state*"):
                left.unlink()
        return load(path), commands


def _part(experiment: Experiment, benchmark: Benchmark, checkpoint: Checkpoint | None) -> Part:
    """Return the ways to rank that an experiment measures, the network's own first."""
    if checkpoint is None:
        return Part(benchmark, {"random": by_chance(benchmark), "cosine": by_cosine(benchmark)})
    if experiment.method == "committed":
        others: dict[str, Rank] = {}
        if experiment.space == VGGISH.id:
            others["paper"] = by_network(benchmark, load(baseline_checkpoint(experiment.space, "paper")))
        return part_of(benchmark, others, {SHIPPED: checkpoint})
    methods = {experiment.method: by_network(benchmark, checkpoint)}
    if experiment.method == recipes.TAGS_ONLY:
        methods["tag-plus-cosine"] = by_network_and_cosine(benchmark, checkpoint)
    calibration = checkpoint.calibration
    return Part(benchmark, methods, {} if calibration is None else {experiment.method: calibration})


def _chosen(checkpoint: Checkpoint) -> dict[str, Any]:
    return {key: checkpoint.record[key] for key in ("epochs_chosen", "shift", "weight") if key in checkpoint.record}


def _minutes(began: float) -> float:
    return round((time.monotonic() - began) / 60, 1)


def _commit() -> str:
    """Short name of the commit that is checked out."""
    try:
        ran = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git the developer has
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError("a report names its commit: run it in a git checkout") from error
    return ran.stdout.strip()
