"""The hub's command `evaluate`. It imports its modules when it runs, so that `--help` is fast."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub.cli.options import JsonOption, handles_errors
from hub.cli.training import (
    CACHE,
    WEIGHTS,
    CacheOption,
    HoldOutOption,
    SpaceOption,
    WeightsOption,
    cache_of,
    progress,
)
from shared.backbones import resolve_space
from shared.command_line import to_json
from shared.errors import InvalidError
from shared.paths import expanded

_FOLDERS = "give --data, or --sonyc, or --database with --queries"


@handles_errors
def evaluate(
    space: SpaceOption,
    data: Annotated[
        Path | None,
        typer.Option(
            help="folder of the AudioSet benchmark, SONYC-UST, ESC-10, features, or with labels.csv",
            show_default=False,
        ),
    ] = None,
    sonyc: Annotated[
        Path | None,
        typer.Option(help="recordings of several sensors with labels.csv: four folds by sensor", show_default=False),
    ] = None,
    database: Annotated[
        Path | None, typer.Option(help="recordings with labels.csv to search, for --queries", show_default=False)
    ] = None,
    queries_from: Annotated[
        Path | None,
        typer.Option("--queries", help="recordings with labels.csv to search by", show_default=False),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint; the shipped one if not given")] = None,
    halves: Annotated[
        bool,
        typer.Option(
            "--halves", help="of --data or --sonyc: search with the first half of each clip for its second half"
        ),
    ] = False,
    few_shot: Annotated[
        bool,
        typer.Option("--few-shot", help="of --data, ESC-10: classes from 1, 3 and 5 examples of other folds"),
    ] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="of --data: also tags alone, tags plus cosine, the paper's network")
    ] = False,
    max_queries: Annotated[
        int | None,
        typer.Option(min=1, help="maximum number of queries of --data, evenly spread; of clips for --halves"),
    ] = None,
    holdout: HoldOutOption = None,
    weights_dir: WeightsOption = WEIGHTS,
    cache: CacheOption = CACHE,
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="of --sonyc: number of divisions into folds, averaged")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="of --sonyc: divisions and training; of --few-shot: draws")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG file for mAP over K of all methods")] = None,
    json_: JsonOption = False,
) -> None:
    """Measure retrieval (mAP_s@K, recall of sources) and compare it with chance and other methods.

    A match is a hit if it agrees with the query on at least s of the eight categories. Figures of different data
    are not comparable. `fine` is the agreement of the finer labels of a query and its best K, if the data has such
    labels. `ece` is the expected calibration error of match probabilities.

    A checkpoint ranks by kind and source together (`shipped`, or `checkpoint` if one is given), by kind alone
    (`shipped-kind`) and by source alone (`shipped-source`). `cosine` compares mean embeddings without training.

    same-source: if labels.csv has a column `source`, the share of queries with a clip of the same source among the
    first K. A query whose source occurs nowhere else in the database, or is unknown, is left out and counted.

    --data: sensors of --holdout are the queries; sensors 2, 23 and 35 if not given. If the data lacks them, or
    --holdout names no sensor, each clip is a query against all others.

    --sonyc divides the sensors into four folds; the clips of each fold are queries against the others. The command
    trains `shipped` again without the sensors of the queries (some minutes); `logmel` and `yamnet` are linear
    taggers. The figures are means over three divisions. --database and --queries measure the shipped checkpoint
    unchanged.

    --halves cuts each clip in two. It divides the frames of embeddings, and repeats each half to the full number of
    frames; it divides the sound of recordings, and embeds both halves. First halves are the queries, second halves
    of all clips the database. other-half is the share of queries whose second half is among the first K.

    --few-shot classifies each fold of ESC-10, with examples drawn 50 times from the other folds. nearest-mean
    assigns a clip to the class whose examples' mean identity is nearest, nearest-example to the class of the nearest
    example. same-class is the share of clips whose best match in another fold is of the same class.

    Example: earwitness-hub evaluate --space vggish --data audioset/ --baselines --json

    Example: earwitness-hub evaluate --space earwitness-small --sonyc recordings/ --halves
    """
    from hub.training import evaluation_tables, plots
    from hub.training.compared_methods import benchmark_of, measure
    from hub.training.datasets import DatasetReader
    from hub.training.evaluation import Evaluation
    from hub.training.few_shot_benchmark import FewShot, few_shot_of
    from hub.training.sensor_evaluation import SensorEvaluation

    console = Console(stderr=True)
    name = resolve_space(space).id
    kept, searched = cache_of(cache), ""
    _check(data, sonyc, halves=halves, few_shot=few_shot, plot=plot)
    with progress(console) as bar:
        task = bar.add_task("reading", total=None)
        answered = bar.add_task("answering", total=None, visible=False)

        def on_query(method: str, query: int) -> None:
            bar.update(answered, completed=query + 1, description=method, visible=True)

        reader = DatasetReader(name, expanded(weights_dir), kept, lambda: bar.advance(task))
        bench = SensorEvaluation(name, expanded(weights_dir), kept, lambda: bar.advance(task), console.print)
        results: Evaluation | FewShot
        match data, sonyc, database, queries_from:
            case Path(), None, None, None if few_shot:
                results = few_shot_of(reader, data, checkpoint, seed=seed)
            case Path(), None, None, None:
                benchmark = benchmark_of(reader, data, holdout, halves=halves).first(max_queries)
                bar.update(answered, total=len(benchmark.queries))
                results = measure(benchmark, checkpoint, baselines=baselines, on_query=on_query)
                searched = f", {len(benchmark.database)} clips"
            case None, Path(), None, None:
                over = bench.halves if halves else bench.over_folds
                results = over(sonyc, checkpoint, seed=seed, divisions=repeats, on_query=on_query)
            case None, None, Path(), Path():
                results = bench.between(queries_from, database, checkpoint, on_query)
            case _:
                raise InvalidError(_FOLDERS)
    if plot is not None and isinstance(results, Evaluation):
        plots.retrieval(plot, results.curves(), columns=len({row.queries for row in results.rows}))
    if json_:
        typer.echo(to_json(results.document()))
    elif isinstance(results, Evaluation):
        evaluation_tables.show(results, f"{results.queries} queries{searched}")
    else:
        evaluation_tables.show_accuracies(results)


def _check(data: Path | None, sonyc: Path | None, *, halves: bool, few_shot: bool, plot: Path | None) -> None:
    """Reject options that exclude each other.

    Raises:
        InvalidError: such options are given; the error names them.
    """
    if halves and few_shot:
        raise InvalidError("give either --halves or --few-shot")
    if halves and data is None and sonyc is None:
        raise InvalidError("--halves needs --data or --sonyc")
    if few_shot and data is None:
        raise InvalidError("--few-shot needs --data, a folder of ESC-10")
    if plot is not None and (halves or few_shot):
        raise InvalidError("--plot draws mAP over K, which --halves and --few-shot do not measure")


def register(app: typer.Typer) -> None:
    """Add `evaluate` to the hub's command line."""
    app.command()(evaluate)
