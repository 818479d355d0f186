"""What the `train` and `evaluate` commands do, without the command line: data, network, plan, quality.

A recipe fixes, per feature space, the network's shape and how it is trained; the command adds data and seed.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hub.audio.choose import extractor_for
from hub.model.checkpoint import SHORT_NAMES, Checkpoint, load, shipped
from hub.model.network import NetworkConfig
from hub.search.scorer import Scorer
from hub.training.dataset import Dataset, joined
from hub.training.datasets import load_audioset, load_esc10, load_recordings, synthesise, without
from hub.training.evaluate import Benchmark, Row, by_chance, by_cosine, by_network, evaluate
from hub.training.metrics import auc
from hub.training.train import Plan
from shared.errors import Invalid
from shared.space import LOGMEL, VGGISH
from shared.taxonomy import CATEGORIES

NETWORKS: Final = {
    VGGISH.id: NetworkConfig(frames=VGGISH.frames, dimension=VGGISH.dimension),
    LOGMEL.id: NetworkConfig(frames=LOGMEL.frames, dimension=LOGMEL.dimension, frames_per_step=9, dropout=0.25),
}
"""Shapes of the shipped networks. Log-mel frames enter nine at a time (0.84 s, about VGGish's second):
one frame of 93 ms shows no rhythm of strikes, and twelve steps make a pair nine times cheaper than 108."""

PLANS: Final = {
    VGGISH.id: Plan(epochs=28, batch_pairs=1024),
    LOGMEL.id: Plan(epochs=60, batch_pairs=1024, level_shift=20),
}

HELD_OUT: Final = ("sensor-2", "sensor-23", "sensor-35", "fold-5")
"""Sensors and fold that never train a shipped checkpoint, so that its card can say how it does on them."""

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where training data comes from.

    Attributes:
        audioset: folder of VGGish embeddings, or None.
        sonyc: folder of recordings with `labels.csv`, or None.
        esc10: folder of ESC-10, or None.
        scenes: number of synthetic scenes.
        weights_dir: VGGish's weights, to hear recordings as VGGish.
    """

    audioset: Path | None = None
    sonyc: Path | None = None
    esc10: Path | None = None
    scenes: int = 0
    weights_dir: Path = Path()


def space_id(name: str) -> str:
    """Id of a feature space from its short name or itself.

    Raises:
        Invalid: neither.
    """
    if name in SHORT_NAMES.values():
        return name
    try:
        return SHORT_NAMES[name]
    except KeyError:
        raise Invalid(f"unknown feature space {name!r}; write {' or '.join(SHORT_NAMES)}") from None


def plan_for(space: str, *, seed: int, epochs: int | None, batch_pairs: int | None) -> Plan:
    """The recipe's plan with what the command line changes.

    Raises:
        Invalid: a value outside its range.
    """
    plan = PLANS[space]
    return replace(plan, seed=seed, epochs=epochs or plan.epochs, batch_pairs=batch_pairs or plan.batch_pairs)


def gather(space: str, sources: Sources, held_out: Iterable[str], seed: int, tick: Tick) -> tuple[Dataset, Dataset]:
    """Read all data of a feature space.

    Args:
        space: id of the feature space.
        sources: where from.
        held_out: groups to hold out; those of which there is no clip are ignored.
        seed: of the synthetic scenes.
        tick: told after each clip that is heard.

    Returns:
        What to learn, and the clips held out (none: an empty data set).

    Raises:
        Invalid: no data, AudioSet's embeddings for another space than VGGish, or data that is damaged.
        Unavailable: a file, or VGGish's weights, cannot be opened.
    """
    parts: list[Dataset] = []
    if sources.audioset is not None:
        if space != VGGISH.id:
            raise Invalid(f"--audioset holds VGGish embeddings; they cannot train {space}")
        parts.append(load_audioset(sources.audioset)[0])
    if sources.sonyc or sources.esc10 or sources.scenes:
        extractor = extractor_for(space, sources.weights_dir)
        if sources.sonyc:
            parts.append(load_recordings(sources.sonyc, extractor, tick))
        if sources.esc10:
            parts.append(load_esc10(sources.esc10, extractor, tick))
        if sources.scenes:
            parts.append(synthesise(sources.scenes, seed, extractor, tick))
    data = joined(parts)
    return without(data, set(held_out) & set(data.groups.tolist()))


def presence_quality(checkpoint: Checkpoint, data: Dataset) -> dict[str, float]:
    """How well P(both) of a clip with itself tells which categories it contains: AUC per category.

    Categories that all clips or none contain are left out; `pairs` is the AUC of P(both) over all
    categories of random pairs of different clips, against what they truly share.
    """
    if len(data) < 2:
        return {}
    scorer = Scorer(checkpoint)
    towers = scorer.embed(data.features)
    present = scorer.presence(towers)
    quality = {
        name: auc(present[:, c], data.labels[:, c] == 1)
        for c, name in enumerate(CATEGORIES)
        if 0 < int(data.labels[:, c].sum()) < len(data)
    }
    queries = range(0, len(data), max(1, len(data) // 40))
    shared = [np.delete(data.labels & data.labels[q], q, axis=0) for q in queries]
    both = [np.delete(scorer.score(towers[q], towers)[:, :, 0], q, axis=0) for q in queries]
    quality["pairs"] = auc(np.concatenate(both).ravel(), np.concatenate(shared).ravel() == 1)
    return {name: round(value, 3) for name, value in quality.items()}


def benchmark_of(space: str, data_dir: Path, weights_dir: Path, held_out: Iterable[str], tick: Tick) -> Benchmark:
    """The benchmark in a folder: AudioSet's, or recordings of which the held-out sensors are the queries.

    Raises:
        Invalid: the folder holds neither, or no held-out sensor.
        Unavailable: a file, or VGGish's weights, cannot be opened.
    """
    if (data_dir / "urban_benchmark.npz").is_file():
        if space != VGGISH.id:
            raise Invalid(f"{data_dir} holds VGGish embeddings; give --space vggish")
        return load_audioset(data_dir)[1]
    if (data_dir / "labels.csv").is_file():
        data = load_recordings(data_dir, extractor_for(space, weights_dir), tick)
        database, queries = without(data, [name for name in held_out if name.startswith("sensor-")])
        return Benchmark(queries=queries, database=database)
    raise Invalid(f"{data_dir} has neither urban_benchmark.npz nor labels.csv")


def measure(benchmark: Benchmark, checkpoint: Path | None, on_query: Callable[[str, int], None]) -> list[Row]:
    """Random, cosine and the network on a benchmark; the network is the shipped one if no file is given.

    Raises:
        Invalid: a checkpoint of another feature space, or damaged.
        Unavailable: the checkpoint cannot be opened.
    """
    space = benchmark.queries.space.id
    network = Scorer(load(checkpoint or shipped(space)))
    methods = {
        "random": by_chance(benchmark),
        "cosine": by_cosine(benchmark),
        "checkpoint" if checkpoint else "shipped": by_network(benchmark, network),
    }
    return evaluate(benchmark, methods, on_query=on_query)


def results(rows: Iterable[Row]) -> dict[str, Any]:
    """The JSON document of an evaluation: `{"results": [{"method", "s", "K", "queries", "map"}]}`."""
    return {"results": [asdict(row) for row in rows]}
