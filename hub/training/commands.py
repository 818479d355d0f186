"""The hub's commands `train` and `evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.model.checkpoint import Checkpoint, save
from hub.options import JsonOption, reported
from hub.training import recipes
from hub.training.evaluate import K
from hub.training.train import Epoch
from hub.training.train import train as fit

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
    audioset: Annotated[
        Path | None, typer.Option(help="folder with train.npz, eval_dev.npz, urban_benchmark.npz")
    ] = None,
    sonyc: Annotated[Path | None, typer.Option(help="folder with labels.csv and clips/")] = None,
    esc10: Annotated[Path | None, typer.Option(help="folder with ESC-10's class directories")] = None,
    scenes: Annotated[int, typer.Option(min=0, help="synthetic scenes to make")] = 0,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs; the recipe's if not given")] = None,
    batch_pairs: Annotated[int | None, typer.Option(min=2, help="pairs per step; the recipe's if not given")] = None,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    json_: JsonOption = False,
) -> None:
    """Train a Siamese network as in the paper and write it as a checkpoint.

    10 % of the clips choose the number of epochs; then the network is trained again on all of them. Sensors
    and folds that are held out are only measured, and the result is kept in the checkpoint.

    Example: earwitness-hub train --space logmel --sonyc recordings/ --scenes 4000 --out my.safetensors
    """
    console = Console(stderr=True)
    name = recipes.space_id(space)
    plan = recipes.plan_for(name, seed=seed, epochs=epochs, batch_pairs=batch_pairs)
    sources = recipes.Sources(audioset, sonyc, esc10, scenes, weights_dir.expanduser())
    held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
    with _progress(console) as bar:
        heard = bar.add_task("reading", total=None)
        data, aside = recipes.gather(name, sources, held, seed, lambda: bar.advance(heard))
        bar.update(heard, total=1, completed=1, description=f"read {len(data)} clips")
        task = bar.add_task("training", total=1.0)

        def on_step(stage: str, number: int, share: float) -> None:
            bar.update(task, completed=share, description=f"{stage} epoch {number}")

        def on_epoch(epoch: Epoch) -> None:
            validation = epoch.validation_loss
            tail = "" if validation is None else f", validation {validation:.4f}"
            console.print(f"{epoch.stage} {epoch.number}/{epoch.of}: loss {epoch.loss:.4f}{tail}")

        trained = fit(data, recipes.NETWORKS[name], plan, on_epoch=on_epoch, on_step=on_step)
    quality = {
        group: recipes.presence_quality(trained, aside.take(aside.groups == group))
        for group in sorted(set(aside.groups.tolist()))
    }
    facts = {
        "data": {"audioset": bool(audioset), "sonyc": bool(sonyc), "esc10": bool(esc10), "scenes": scenes},
        "held_out": sorted(quality),
        "held_out_auc": quality,
    }
    save(out, Checkpoint(trained.network, trained.space, {**trained.record, **facts}))
    report = {"checkpoint": str(out), "epochs": trained.record["epochs_chosen"], **facts}
    if json_:
        typer.echo(json.dumps(report))
    else:
        typer.echo(f"Wrote {out} after {report['epochs']} epochs on {len(data)} clips.")
        typer.echo("Measure it: earwitness-hub evaluate --space ... --data DIR --checkpoint " + str(out))


@reported
def evaluate(
    space: SpaceOption,
    data: Annotated[
        Path,
        typer.Option(help="folder of the AudioSet benchmark, or with labels.csv and clips/", show_default=False),
    ],
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint; the shipped one if not given")] = None,
    hold_out: HoldOutOption = None,
    weights_dir: WeightsOption = _WEIGHTS,
    json_: JsonOption = False,
) -> None:
    """Measure retrieval (mAP_s@K) of a checkpoint beside chance and cosine, on clips it never saw.

    A query's hit agrees with it on at least s of the eight categories. Figures of different data are not
    comparable.

    Example: earwitness-hub evaluate --space vggish --data audioset/ --json
    """
    console = Console(stderr=True)
    name = recipes.space_id(space)
    held = recipes.HELD_OUT if hold_out is None else tuple(hold_out)
    with _progress(console) as bar:
        task = bar.add_task("reading", total=None)
        benchmark = recipes.benchmark_of(name, data, weights_dir.expanduser(), held, lambda: bar.advance(task))
        bar.update(task, total=len(benchmark.queries))
        rows = recipes.measure(
            benchmark,
            checkpoint,
            lambda method, query: bar.update(task, completed=query + 1, description=method),
        )
    document = recipes.results(rows)
    if json_:
        typer.echo(json.dumps(document))
        return
    table = Table(title=f"{len(benchmark.queries)} queries, {len(benchmark.database)} clips")
    for column in ("method", "queries", "s", *(f"K={k}" for k in K)):
        table.add_column(column)
    for method, queries, s in dict.fromkeys((row.method, row.queries, row.s) for row in rows):
        found = [row for row in rows if (row.method, row.queries, row.s) == (method, queries, s)]
        table.add_row(method, queries, str(s), *(f"{row.map:.3f}" for row in found))
    Console().print(table)


def register(app: typer.Typer) -> None:
    """Add `train` and `evaluate` to the hub's command line."""
    app.command()(train)
    app.command()(evaluate)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
