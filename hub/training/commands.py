"""The hub's commands `train` and `evaluate`; each imports what it needs when it runs, so that help comes at once."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.options import JsonOption, reported
from hub.training.methods import METHODS
from shared.backbones import space_named
from shared.command_line import to_json
from shared.completion import spaces, words
from shared.console import plain_console
from shared.errors import Invalid
from shared.paths import expanded

if TYPE_CHECKING:
    from hub.training.evaluate import Evaluation
    from hub.training.stages import TaggedEpoch
    from hub.training.train import Epoch

SpaceOption = Annotated[
    str,
    typer.Option(
        help="feature space: vggish, earwitness-small, logmel, or the description (.toml) of a backbone",
        show_default=False,
        autocompletion=spaces,
    ),
]
HoldOutOption = Annotated[
    list[str] | None,
    typer.Option(help="sensor-<id> or fold-<digit> kept out; may be repeated", show_default=False),
]
WeightsOption = Annotated[
    Path, typer.Option(help="VGGish's weights, as fetched, only needed to hear recordings as VGGish")
]
CacheOption = Annotated[
    Path, typer.Option(help="where features of recordings are kept, so that each is heard once; - keeps none")
]
_WEIGHTS = Path("~/.local/share/earwitness")
CACHE = Path("~/.cache/earwitness/features")


@reported
def train(
    space: SpaceOption,
    out: Annotated[Path, typer.Option(help="checkpoint to write", show_default=False)],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="folder of recordings with labels.csv, of SONYC-UST, AudioSet or ESC-10; may be repeated",
            show_default=False,
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=0, help="synthetic scenes to make")] = 0,
    feedback: Annotated[
        Path | None, typer.Option(help="what people said, as `feedback export` wrote it", show_default=False)
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(METHODS)}; the space's own if not given",
            show_default=False,
            autocompletion=words(METHODS),
        ),
    ] = None,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    cache: CacheOption = CACHE,
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs; the recipe's if not given")] = None,
    batch_pairs: Annotated[
        int | None, typer.Option(min=2, help="pairs per step of the paper's networks; the recipe's if not given")
    ] = None,
    validation: Annotated[
        bool, typer.Option(help="set clips aside to choose the epochs of the paper's networks")
    ] = True,
    like: Annotated[
        Path | None, typer.Option(help="checkpoint of another seed to take shift, weight and calibration from")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="checkpoint that a tagged network starts from; - starts from nothing; if not given, earwitness-small"
            " starts from one that knows sounds, but no street",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG to draw the losses and validation mAP in")] = None,
    json_: JsonOption = False,
) -> None:
    """Train a network and write it as a checkpoint.

    Part of the clips is set aside first, to choose what has to be chosen and to calibrate; then a network is
    trained on all of them. Sensors and folds that are held out are only measured, and the result is kept in the
    checkpoint. A training that was interrupted goes on if the same command is given again.

    labels.csv has a row per clip: `clip` (file name), one column per category (0 or 1), and if known `sensor_id`.

    Example: earwitness-hub train --space logmel --data recordings/ --scenes 4000 --out my.safetensors
    """
    from hub.model.checkpoint import load, save
    from hub.training import plots, recipes
    from hub.training.beside import versions_of
    from hub.training.datasets import Reader
    from hub.training.reference import with_reference

    console = Console(stderr=True)
    name = space_named(space).id
    state = out.with_name(f".{out.name}.state")
    method = network or recipes.DEFAULT_METHOD.get(name, recipes.TAGGED)
    order = recipes.Order(
        method=method,
        seed=seed,
        epochs=epochs,
        batch_pairs=batch_pairs,
        validation=validation,
        like=None if like is None else load(like),
        start=recipes.start_of(name, method) if start is None else None if start == Path("-") else load(start),
        state=state,
    )
    sources = recipes.Sources(tuple(data or ()), scenes, feedback)
    held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
    with progress(console) as bar:
        heard = bar.add_task("reading", total=None)
        made = versions_of(name)
        reader = Reader(name, expanded(weights_dir), cache_of(cache), lambda: bar.advance(heard), made)
        clips, aside = recipes.gather(sources, reader, held, seed, started=order.start is not None)
        bar.update(heard, total=1, completed=1, description=f"read {len(clips)} clips")
        task = bar.add_task("training", total=1.0)

        def on_step(stage: str, number: int, share: float) -> None:
            bar.update(task, completed=share, description=f"{stage} epoch {number}")

        def on_epoch(epoch: "Epoch | TaggedEpoch") -> None:
            console.print(recipes.told(epoch))

        trained = recipes.fit(clips, aside, order, on_epoch=on_epoch, on_step=on_step)
    facts = recipes.facts(trained, sources, aside)
    trained = with_reference(trained, clips)
    save(out, replace(trained, record={**trained.record, "network": order.method, "seed": seed, **facts}))
    if plot is not None:
        plots.training(plot, trained.record["history"])
    for left in out.parent.glob(f"{state.name}*"):
        left.unlink()
    report: dict[str, Any] = {"checkpoint": str(out), "clips": len(clips), **facts}
    report |= {key: trained.record[key] for key in ("epochs_chosen", "weight") if key in trained.record}
    if json_:
        typer.echo(to_json(report))
    else:
        typer.echo(f"Wrote {out}, trained on {len(clips)} clips.")
        typer.echo("Measure it: earwitness-hub evaluate --space ... --data DIR --checkpoint " + str(out))


@reported
def evaluate(
    space: SpaceOption,
    data: Annotated[
        Path | None,
        typer.Option(help="folder of the AudioSet benchmark, SONYC-UST, or with labels.csv", show_default=False),
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
    baselines: Annotated[
        bool, typer.Option("--baselines", help="of --data: also tags alone, tags plus cosine, the paper's network")
    ] = False,
    first: Annotated[
        int | None, typer.Option(min=1, help="of --data: at most so many queries, evenly spread")
    ] = None,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    cache: CacheOption = CACHE,
    divisions: Annotated[
        int, typer.Option(min=1, max=100, help="of --sonyc: ways of dividing the sensors into folds, averaged")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="of --sonyc: divisions and training")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG to draw mAP over K of all methods in")] = None,
    json_: JsonOption = False,
) -> None:
    """Measure retrieval (mAP_s@K) beside chance and other methods, on clips that were never heard before.

    A query's hit agrees with it on at least s of the eight categories. Figures of different data are not
    comparable. `fine` is how alike the finer labels of a query and its best K are, if the data has such labels;
    `ece` is how far stated probabilities are from what came true.

    --sonyc divides the sensors into four parts; each is searched by once, among the others. `shipped` is then
    trained anew without the sensors that are searched by (some minutes), `logmel` and `yamnet` are linear
    taggers. The sensors are divided in three ways, and each clip's answers averaged. --database and --queries take
    the shipped checkpoint as it is.

    Example: earwitness-hub evaluate --space vggish --data audioset/ --baselines --json

    Example: earwitness-hub evaluate --space earwitness-small --sonyc recordings/
    """
    from hub.training import plots, recipes
    from hub.training.datasets import Reader
    from hub.training.sensor_bench import SensorBench

    console = Console(stderr=True)
    name = space_named(space).id
    kept, searched = cache_of(cache), ""
    with progress(console) as bar:
        task = bar.add_task("reading", total=None)
        answered = bar.add_task("answering", total=None, visible=False)

        def on_query(method: str, query: int) -> None:
            bar.update(answered, completed=query + 1, description=method, visible=True)

        bench = SensorBench(name, expanded(weights_dir), kept, lambda: bar.advance(task), console.print)
        match data, sonyc, database, queries_from:
            case Path(), None, None, None:
                held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
                reader = Reader(name, expanded(weights_dir), kept, lambda: bar.advance(task))
                benchmark = reader.benchmark(data, held).first(first)
                bar.update(answered, total=len(benchmark.queries))
                found = recipes.measure(benchmark, checkpoint, baselines=baselines, on_query=on_query)
                searched = f", {len(benchmark.database)} clips"
            case None, Path(), None, None:
                found = bench.over_folds(sonyc, checkpoint, seed=seed, divisions=divisions, on_query=on_query)
            case None, None, Path(), Path():
                found = bench.between(queries_from, database, checkpoint, on_query)
            case _:
                raise Invalid("give --data, or --sonyc, or --database with --queries")
    if plot is not None:
        plots.retrieval(plot, found.curves(), columns=len({row.queries for row in found.rows}))
    if json_:
        typer.echo(to_json(found.document()))
    else:
        _show(found, f"{found.queries} queries{searched}")


def register(app: typer.Typer) -> None:
    """Add `train` and `evaluate` to the hub's command line."""
    app.command()(train)
    app.command()(evaluate)


def cache_of(path: Path) -> Path | None:
    """The directory that `--cache` names; None if it says to keep nothing."""
    return None if path == Path("-") else expanded(path)


def _show(found: "Evaluation", title: str) -> None:
    from hub.training.evaluate import K

    table = Table(title=title)
    for column in ("method", "queries", "s", *(f"K={k}" for k in K), "fine@10"):
        table.add_column(column)
    for method, queries, s in dict.fromkeys((row.method, row.queries, row.s) for row in found.rows):
        rows = [row for row in found.rows if (row.method, row.queries, row.s) == (method, queries, s)]
        fine = next((f"{row.fine:.3f}" for row in rows if row.K == 10 and row.fine is not None), "")
        table.add_row(method, queries, str(s), *(f"{row.map:.3f}" for row in rows), fine)
    plain_console().print(table)
    if found.presence:
        _show_presence(found)
    for (method, s, pairs), kept in found.reliability.items():
        typer.echo(f"{method}: expected calibration error of P(level >= {s}) on {pairs} pairs {kept.error():.4f}")


def _show_presence(found: "Evaluation") -> None:
    table = Table(title="how well categories of a query are told (AUC; .5 is chance)")
    names = list(dict.fromkeys(name for quality in found.presence.values() for name in quality))
    for column in ("method", *names):
        table.add_column(column)
    for method, quality in found.presence.items():
        table.add_row(method, *(f"{quality[name]:.2f}" if name in quality else "" for name in names))
    plain_console().print(table)


def progress(console: Console) -> Progress:
    """A progress bar on standard error; gone when it is done."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
