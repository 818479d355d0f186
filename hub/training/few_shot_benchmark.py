"""`evaluate --few-shot`: ESC-10's classes from a few examples, by identity and by mean embedding."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hub.training.benchmark import Benchmark, Ranking, by_chance, by_cosine
from hub.training.compared_methods import network_of
from hub.training.cosine_baseline import directions
from hub.training.datasets import DatasetReader
from hub.training.datasets.esc10 import esc10_files
from hub.training.few_shot import Accuracy, Classes, best_matches, few_shot
from shared.errors import InvalidError


@dataclass(frozen=True, slots=True)
class FewShot:
    """The measured figures.

    Attributes:
        clips: how many were asked.
        classes: how many there are.
        accuracies: the figures.
    """

    clips: int
    classes: int
    accuracies: list[Accuracy] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        rows = [accuracy.document() for accuracy in self.accuracies]
        return {"clips": self.clips, "classes": self.classes, "results": rows}


def few_shot_of(reader: DatasetReader, folder: Path, checkpoint: Path | None, *, seed: int) -> FewShot:
    """Measure the shipped checkpoint, or the one given, on a folder of ESC-10.

    Args:
        reader: of the feature space.
        folder: class directories, as `hub.training.datasets.esc10` reads them.
        checkpoint: file of the checkpoint; None: the shipped one.
        seed: of the draws of examples.

    Raises:
        InvalidError: another folder, too few clips in a class, or a checkpoint of another feature space.
        UnavailableError: a file cannot be opened.
    """
    files = esc10_files(folder)
    if not files:
        raise InvalidError(
            f"{folder} is not ESC-10: it has no class directories such as '001 - Dog bark' with recordings"
        )
    name, network = network_of(reader.space, checkpoint)
    data = reader.training_set(folder)
    classes = Classes(np.asarray([file.parent.name for file in files]), data.groups)
    benchmark = Benchmark(data, data, own=np.arange(len(data)))
    ranking = Ranking(benchmark, network)
    vectors = {"cosine": directions(data)}
    if network.identity is not None:
        vectors = {f"{name}-source": ranking.identities} | vectors
    ranks = {"random": by_chance(benchmark, seed), "cosine": by_cosine(benchmark)} | ranking.methods(name)
    scores = {method: np.stack([rank(query) for query in range(len(data))]) for method, rank in ranks.items()}
    found = [*best_matches(classes, scores), *few_shot(classes, vectors, seed=seed)]
    return FewShot(len(data), int(classes.numbers.max()) + 1, found)
