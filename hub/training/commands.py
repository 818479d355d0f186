"""The hub's commands `train` and `evaluate`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.model.checkpoint import load, save
from hub.options import JsonOption, reported
from hub.training import recipes
from hub.training.evaluate import Evaluation, K
from hub.training.stages import TaggedEpoch
from hub.training.train import Epoch

SpaceOption = Annotated[str, typer.Option(help="feature space: vggish or logmel", show_default=False)]
HoldOutOption = Annotated[
    list[str] | None,
    typer.Option(help="sensor-<id> or fold-<digit> kept out; may be repeated", show_default=False),
]
WeightsOption = Annotated[
    Path, typer.Option(help="VGGish's weights, as fetched, only needed to hear recordings as VGGish")
]
_WEIGHTS = Path("~/.local/share/earwitness")


@reported
def train(
    space: SpaceOption,
    out: Annotated[Path, typer.Option(help="checkpoint to write", show_default=False)],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="folder with labels.csv and clips/, with AudioSet's npz files, or of ESC-10; may be repeated",
            show_default=False,
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=0, help="synthetic scenes to make")] = 0,
    network: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(recipes.METHODS)}; the space's own if not given", show_default=False),
    ] = None,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs; the recipe's if not given")] = None,
    batch_pairs: Annotated[
        int | None, typer.Option(min=2, help="pairs per step of the paper's networks; the recipe's if not given")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="checkpoint of another seed to take weight and calibration from")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    json_: JsonOption = False,
) -> None:
    """Train a network and write it as a checkpoint.

    Part of the clips is set aside first, to choose what has to be chosen and to calibrate; then a network is
    trained on all of them. Sensors and folds that are held out are only measured, and the result is kept in the
    checkpoint. A training that was interrupted goes on if the same command is given again.

    labels.csv has a row per clip: `clip` (file name), one column per category (0 or 1), and if known `sensor_id`.

    Example: earwitness-hub train --space logmel --data recordings/ --scenes 4000 --out my.safetensors
    """
    console = Console(stderr=True)
    name = recipes.space_id(space)
    state = out.with_name(f".{out.name}.state")
    order = recipes.Order(
        method=network or recipes.DEFAULT_METHOD[name],
        seed=seed,
        epochs=epochs,
        batch_pairs=batch_pairs,
        like=None if like is None else load(like),
        state=state,
    )
    sources = recipes.Sources(tuple(data or ()), scenes, weights_dir.expanduser())
    held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
    with _progress(console) as bar:
        heard = bar.add_task("reading", total=None)
        clips, aside = recipes.gather(name, sources, held, seed, lambda: bar.advance(heard))
        bar.update(heard, total=1, completed=1, description=f"read {len(clips)} clips")
        task = bar.add_task("training", total=1.0)

        def on_step(stage: str, number: int, share: float) -> None:
            bar.update(task, completed=share, description=f"{stage} epoch {number}")

        def on_epoch(epoch: Epoch | TaggedEpoch) -> None:
            console.print(_told(epoch))

        trained = recipes.fit(clips, aside, order, on_epoch=on_epoch, on_step=on_step)
    facts = recipes.facts(trained, sources, aside)
    save(out, replace(trained, record={**trained.record, "network": order.method, "seed": seed, **facts}))
    for left in out.parent.glob(f"{state.name}*"):
        left.unlink()
    report: dict[str, Any] = {"checkpoint": str(out), "clips": len(clips), **facts}
    report |= {key: trained.record[key] for key in ("epochs_chosen", "weight") if key in trained.record}
    if json_:
        typer.echo(json.dumps(report))
    else:
        typer.echo(f"Wrote {out}, trained on {len(clips)} clips.")
        typer.echo("Measure it: earwitness-hub evaluate --space ... --data DIR --checkpoint " + str(out))


@reported
def evaluate(
    space: SpaceOption,
    data: Annotated[
        Path,
        typer.Option(help="folder of the AudioSet benchmark, or with labels.csv and clips/", show_default=False),
    ],
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint; the shipped one if not given")] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="also tags alone, tags plus cosine and the paper's network")
    ] = False,
    queries: Annotated[int | None, typer.Option(min=1, help="at most so many queries, evenly spread")] = None,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    json_: JsonOption = False,
) -> None:
    """Measure retrieval (mAP_s@K) of a checkpoint beside chance and cosine, on clips it never saw.

    A query's hit agrees with it on at least s of the eight categories. Figures of different data are not
    comparable. `fine` is how alike the finer labels of a query and its best K are, if the data has such labels;
    `ece` is how far stated probabilities are from what came true.

    Example: earwitness-hub evaluate --space vggish --data audioset/ --baselines --json
    """
    console = Console(stderr=True)
    name = recipes.space_id(space)
    held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
    with _progress(console) as bar:
        task = bar.add_task("reading", total=None)
        benchmark = recipes.benchmark_of(name, data, weights_dir.expanduser(), held, lambda: bar.advance(task))
        benchmark = benchmark.first(queries)
        bar.update(task, total=len(benchmark.queries))
        found = recipes.measure(
            benchmark,
            checkpoint,
            baselines=baselines,
            on_query=lambda method, query: bar.update(task, completed=query + 1, description=method),
        )
    if json_:
        typer.echo(json.dumps(found.document()))
    else:
        _show(found, f"{len(benchmark.queries)} queries, {len(benchmark.database)} clips")


def register(app: typer.Typer) -> None:
    """Add `train` and `evaluate` to the hub's command line."""
    app.command()(train)
    app.command()(evaluate)


def _told(epoch: Epoch | TaggedEpoch) -> str:
    """One epoch in a line."""
    run = f"{epoch.run} " if isinstance(epoch, TaggedEpoch) else ""
    told = f"{run}{epoch.stage} {epoch.number}/{epoch.of}: loss {epoch.loss:.4f}"
    if isinstance(epoch, Epoch) and epoch.validation_loss is not None:
        told += f", validation {epoch.validation_loss:.4f}"
    if epoch.map_8 is not None and epoch.map_7 is not None:
        told += f", mAP_8@10 {epoch.map_8:.3f}, mAP_7@10 {epoch.map_7:.3f}"
    return told


def _show(found: Evaluation, title: str) -> None:
    table = Table(title=title)
    for column in ("method", "queries", "s", *(f"K={k}" for k in K), "fine@10"):
        table.add_column(column)
    for method, queries, s in dict.fromkeys((row.method, row.queries, row.s) for row in found.rows):
        rows = [row for row in found.rows if (row.method, row.queries, row.s) == (method, queries, s)]
        fine = next((f"{row.fine:.3f}" for row in rows if row.K == 10 and row.fine is not None), "")
        table.add_row(method, queries, str(s), *(f"{row.map:.3f}" for row in rows), fine)
    Console().print(table)
    for (method, s, pairs), kept in found.reliability.items():
        typer.echo(f"{method}: expected calibration error of P(level >= {s}) on {pairs} pairs {kept.error():.4f}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
