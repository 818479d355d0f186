"""How a feature space does on sensors it never heard: recordings split by sensor, several backbones side by side.

1. `folds`: the sensors are divided into four parts; each part's clips are queries once, answered from the others.
2. `random`, and linear taggers that learn the database's labels: `logmel`, `yamnet`, and `linear` on the feature
   space that is measured.
3. `shipped`: the network that ships for the feature space. Over folds it is trained anew each time, by the same
   recipe, without the fold's sensors: the checkpoint that ships has learnt all of them. Between two folders that you
   give it is the checkpoint as it ships.

The backbone itself heard none of SONYC's sensors.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.model.checkpoint import Checkpoint
from hub.search.scorer import Scorer
from hub.training.benchmark import Benchmark, Rank, by_chance, by_network
from hub.training.dataset import Dataset
from hub.training.datasets import Reader
from hub.training.evaluate import Part
from hub.training.linear import LinearTagger, by_linear_tagger
from shared.errors import Invalid

FOLDS: Final = 4

Fit = Callable[[Dataset], Checkpoint]


@dataclass(frozen=True, slots=True)
class Heard:
    """The same clips in several feature spaces.

    Attributes:
        ours: in the feature space that is measured.
        others: by method, in the spaces it is compared with.
    """

    ours: Dataset
    others: dict[str, Dataset]

    def take(self, mask: npt.NDArray[np.bool_]) -> "Heard":
        """The clips of a mask."""
        return Heard(self.ours.take(mask), {name: data.take(mask) for name, data in self.others.items()})


def hear(folder: Path, ours: Reader, others: Mapping[str, Reader]) -> Heard:
    """Hear the recordings of a folder in all feature spaces; each reader as `hub.training.datasets` has it.

    Raises:
        Unavailable: a file, or a backbone's weights, cannot be opened.
        Invalid: the folder holds no labelled recordings, or damaged ones.
    """
    return Heard(ours.learn(folder), {name: reader.learn(folder) for name, reader in others.items()})


def folds(data: Dataset, seed: int = 0, count: int = FOLDS) -> list[list[str]]:
    """The sensors in so many parts, each named once.

    Raises:
        Invalid: fewer sensors than parts.
    """
    sensors = sorted({group for group in data.groups.tolist() if group.startswith("sensor-")})
    if len(sensors) < count:
        raise Invalid(f"{len(sensors)} sensors cannot be divided into {count} parts; labels.csv needs sensor_id")
    order = np.random.default_rng(seed).permutation(len(sensors))
    return [[sensors[i] for i in order[part::count]] for part in range(count)]


def over_folds(heard: Heard, fit: Fit, *, name: str = "shipped", seed: int = 0, divisions: int = 1) -> Iterator[Part]:
    """One part per fold of each division.

    Args:
        heard: all clips.
        fit: trains the network of the feature space.
        name: of this method.
        seed: of the first division and of `random`.
        divisions: ways in which the sensors are divided into folds, each with the next seed.
    """
    for division in range(seed, seed + divisions):
        for number, queried in enumerate(folds(heard.ours, division)):
            asked = np.isin(heard.ours.groups, queried)
            network = fit(heard.ours.take(~asked))
            part = between(heard.take(asked), heard.take(~asked), {name: network}, FOLDS * division + number)
            yield replace(part, numbers=np.flatnonzero(asked))


def between(queries: Heard, database: Heard, networks: Mapping[str, Checkpoint], seed: int = 0) -> Part:
    """Queries of one folder answered from another's clips, by networks as they are, by their names.

    Raises:
        Invalid: a folder without clips.
    """
    benchmark = Benchmark(queries.ours, database.ours)
    methods: dict[str, Rank] = {"random": by_chance(benchmark, seed)}
    presence: dict[str, npt.NDArray[np.floating]] = {}
    for name, clips in (queries.others | {"linear": queries.ours}).items():
        learnt = (database.others | {"linear": database.ours})[name]
        tagger = LinearTagger.of(learnt)
        methods[name] = by_linear_tagger(Benchmark(clips, learnt), tagger)
        presence[name] = tagger.tags(clips)
    for name, network in networks.items():
        methods[name] = by_network(benchmark, network)
        scorer = Scorer(network)
        presence[name] = scorer.presence(scorer.embed(queries.ours.features))
    calibrations = {name: network.calibration for name, network in networks.items() if network.calibration}
    return Part(benchmark, methods, calibrations, presence=presence)
