"""Cross-validation by sensor: quality of a feature space on unseen sensors, compared with other backbones.

1. `folds`: the sensors are divided into four parts; each part's clips are queries once, answered from the others.
2. `random`, `cosine` of mean embeddings, and linear taggers that learn the database's labels: `logmel`, `yamnet`, and
   `linear` on the feature space that is measured.
3. `shipped`: the network that ships for the feature space. Over folds it is trained again each time, by the same
   recipe, without the fold's sensors, because the shipped checkpoint was trained on all of them. Between two given
   folders it is the shipped checkpoint. By both; also `shipped-kind` and `shipped-source`.
4. `halves_over_folds`: the same folds; a clip's first half is the query, answered from all clips' second halves.

The backbone was not trained on any of SONYC's sensors.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.model.checkpoint import Checkpoint
from hub.search.scoring.scorer import Scorer
from hub.training.benchmark import Benchmark, Rank, by_chance, by_cosine
from hub.training.compared_methods import SHIPPED, part_of
from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader
from hub.training.evaluation import Part
from hub.training.linear_probe import LinearProbe, by_linear_tagger
from shared.errors import InvalidError

FOLDS: Final = 4

Fit = Callable[[Dataset], Checkpoint]


@dataclass(frozen=True, slots=True)
class EmbeddedDataset:
    """The same clips in several feature spaces.

    Attributes:
        ours: clips in the measured feature space.
        others: clips in the compared feature spaces, by method.
    """

    ours: Dataset
    others: dict[str, Dataset]

    def take(self, mask: npt.NDArray[np.bool_]) -> "EmbeddedDataset":
        """Return the clips of a mask."""
        return EmbeddedDataset(self.ours.take(mask), {name: data.take(mask) for name, data in self.others.items()})


def embed_dataset(folder: Path, ours: DatasetReader, others: Mapping[str, DatasetReader]) -> EmbeddedDataset:
    """Embed the recordings of a folder in all feature spaces, each with its reader.

    Raises:
        UnavailableError: a file, or a backbone's weights, cannot be opened.
        InvalidError: the folder holds no labelled recordings, or damaged ones.
    """
    return EmbeddedDataset(
        ours.training_set(folder), {name: reader.training_set(folder) for name, reader in others.items()}
    )


def folds(data: Dataset, seed: int = 0, count: int = FOLDS) -> list[list[str]]:
    """Divide the sensors into `count` parts.

    Raises:
        InvalidError: fewer sensors than parts.
    """
    sensors = sorted({group for group in data.groups.tolist() if group.startswith("sensor-")})
    if len(sensors) < count:
        raise InvalidError(f"{len(sensors)} sensors cannot be divided into {count} parts; labels.csv needs sensor_id")
    order = np.random.default_rng(seed).permutation(len(sensors))
    return [[sensors[i] for i in order[part::count]] for part in range(count)]


def divided(data: Dataset, seed: int = 0, divisions: int = 1) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Yield every fold of every division: its number, and the mask of its query clips, bool [n].

    Args:
        data: all clips.
        seed: of the first division.
        divisions: ways in which the sensors are divided into folds, each with the next seed.
    """
    for division in range(seed, seed + divisions):
        for number, queried in enumerate(folds(data, division)):
            yield FOLDS * division + number, np.isin(data.groups, queried)


def over_folds(
    clips: EmbeddedDataset, fit: Fit, *, name: str = SHIPPED, seed: int = 0, divisions: int = 1
) -> Iterator[Part]:
    """Yield one part per fold of each division.

    Args:
        clips: all clips.
        fit: trains the network of the feature space.
        name: of this method.
        seed: of the first division and of `random`.
        divisions: ways in which the sensors are divided into folds, each with the next seed.
    """
    for number, asked in divided(clips.ours, seed, divisions):
        network = fit(clips.ours.take(~asked))
        part = between(clips.take(asked), clips.take(~asked), {name: network}, number)
        yield replace(part, numbers=np.flatnonzero(asked))


def halves_over_folds(
    whole: Dataset, halves: Benchmark, fit: Fit, *, name: str = SHIPPED, seed: int = 0, divisions: int = 1
) -> Iterator[Part]:
    """Yield one part per fold of each division, whose queries are the first halves of the fold's clips.

    Args:
        whole: all clips.
        halves: the same clips in the same order, as `DatasetReader.halves` cuts them.
        fit: trains the network of the feature space on whole clips.
        name: of this method.
        seed: of the first division and of `random`.
        divisions: as of `over_folds`.
    """
    for number, asked in divided(whole, seed, divisions):
        rows = np.flatnonzero(asked)
        benchmark = Benchmark(halves.queries.take(rows), halves.database, other=rows)
        methods = {"random": by_chance(benchmark, number), "cosine": by_cosine(benchmark)}
        yield replace(part_of(benchmark, methods, {name: fit(whole.take(~asked))}), numbers=rows)


def between(
    queries: EmbeddedDataset, database: EmbeddedDataset, networks: Mapping[str, Checkpoint], seed: int = 0
) -> Part:
    """Answer the queries of one folder from another's clips, by the given networks.

    Raises:
        InvalidError: a folder without clips.
    """
    benchmark = Benchmark(queries.ours, database.ours)
    methods: dict[str, Rank] = {"random": by_chance(benchmark, seed), "cosine": by_cosine(benchmark)}
    presence: dict[str, npt.NDArray[np.floating]] = {}
    for name, clips in (queries.others | {"linear": queries.ours}).items():
        labelled = (database.others | {"linear": database.ours})[name]
        tagger = LinearProbe.of(labelled)
        methods[name] = by_linear_tagger(Benchmark(clips, labelled), tagger)
        presence[name] = tagger.tags(clips)
    part = part_of(benchmark, methods, networks)
    for name, network in networks.items():
        scorer = Scorer(network)
        presence[name] = scorer.presence(scorer.embed(queries.ours.features))
    return replace(part, presence=presence)
