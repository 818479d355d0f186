"""Methods that `evaluate` compares on a benchmark, those of checkpoints among them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hub.model.calibration import Calibration
from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load
from hub.model.identity import Identity
from hub.training.benchmark import Benchmark, Rank, Ranking, by_chance, by_cosine, by_network, by_network_and_cosine
from hub.training.datasets import DatasetReader
from hub.training.evaluation import Evaluation, Part, evaluate_parts
from hub.training.recipes import HELD_OUT

SHIPPED: Final = "shipped"
GIVEN: Final = "checkpoint"


def network_of(space_id: str, checkpoint: Path | None) -> tuple[str, Checkpoint]:
    """Return the checkpoint that is measured, and the name of its methods.

    Args:
        space_id: id of the feature space.
        checkpoint: file of the checkpoint; None: the shipped one.

    Raises:
        InvalidError: a damaged file, or nothing is shipped for this space.
        UnavailableError: the file cannot be opened.
    """
    return (SHIPPED, load(default_checkpoint(space_id))) if checkpoint is None else (GIVEN, load(checkpoint))


def benchmark_of(reader: DatasetReader, folder: Path, hold_out: Sequence[str] | None, *, halves: bool) -> Benchmark:
    """Return the benchmark in a folder, of whole clips or of their halves.

    Args:
        reader: of the feature space.
        folder: of any kind that `hub.training.datasets` knows.
        hold_out: of your own recordings, groups whose sensors are the queries. None: of whole clips the sensors that
            no shipped checkpoint learns from, if they are there; otherwise all clips.
        halves: whether clips are cut in two.

    Raises:
        UnavailableError: a file, or VGGish's weights, cannot be opened.
        InvalidError: the folder is of no kind, or has no held-out sensor; or a clip cannot be cut in two.
    """
    if halves:
        return reader.halves(folder, hold_out or ())
    return reader.benchmark(folder, HELD_OUT if hold_out is None else hold_out, each=hold_out is None)


def part_of(
    benchmark: Benchmark,
    methods: Mapping[str, Rank],
    networks: Mapping[str, Checkpoint],
) -> Part:
    """Return a benchmark with methods, and each network's by both, by kind and by source.

    Args:
        benchmark: queries and database.
        methods: other ways to rank, by name.
        networks: checkpoints, by name.

    Raises:
        InvalidError: a checkpoint of another feature space.
    """
    ranks = dict(methods)
    calibrations: dict[str, Calibration] = {}
    levels: dict[str, Rank] = {}
    identities: dict[str, tuple[Rank, Identity]] = {}
    for name, network in networks.items():
        ranking, identity = Ranking(benchmark, network), network.identity
        ranks |= ranking.methods(name)
        levels[name] = ranking.kind
        if network.calibration is not None:
            stating = (name,) if identity is None else (name, f"{name}-kind")
            calibrations |= dict.fromkeys(stating, network.calibration)
        if identity is not None:
            identities |= dict.fromkeys((name, f"{name}-source"), (ranking.source, identity))
    return Part(benchmark, ranks, calibrations, levels=levels, identities=identities)


def measure(
    benchmark: Benchmark,
    checkpoint: Path | None,
    *,
    baselines: bool,
    on_query: Callable[[str, int], None],
) -> Evaluation:
    """Random, cosine and the network on a benchmark; the network is the shipped one if no file is given.

    Args:
        benchmark: queries and database.
        checkpoint: file of the network.
        baselines: also tags alone, tags plus cosine and the paper's network, as committed.
        on_query: called after each query of each method.

    Raises:
        InvalidError: a checkpoint of another feature space, or damaged; no baselines for this space.
        UnavailableError: the checkpoint cannot be opened.
    """
    space = benchmark.queries.space.id
    methods: dict[str, Rank] = {"random": by_chance(benchmark), "cosine": by_cosine(benchmark)}
    if baselines:
        tagger = load(baseline_checkpoint(space, "tagger"))
        methods["tag-and-compare"] = by_network(benchmark, tagger)
        methods["tag-plus-cosine"] = by_network_and_cosine(benchmark, tagger)
        methods["paper"] = by_network(benchmark, load(baseline_checkpoint(space, "paper")))
    name, network = network_of(space, checkpoint)
    return evaluate_parts([part_of(benchmark, methods, {name: network})], on_query=on_query)
