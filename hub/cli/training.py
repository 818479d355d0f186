"""The hub's command `train`. It imports its modules when it runs, so that `--help` is fast."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hub.cli.options import JsonOption, handles_errors
from hub.training.network_names import METHODS
from shared.backbones import resolve_space
from shared.command_line import to_json
from shared.completion import spaces, words
from shared.paths import expanded

if TYPE_CHECKING:
    from hub.training.tagger_schedule import TaggedEpoch
    from hub.training.train_siamese import Epoch

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
    typer.Option(help="sensor-<id> or fold-<digit> to hold out; may be repeated", show_default=False),
]
WeightsOption = Annotated[
    Path, typer.Option(help="folder of VGGish's weights, only needed to embed recordings with VGGish")
]
CacheOption = Annotated[Path, typer.Option(help="folder that caches the features of recordings; - for no cache")]
WEIGHTS = Path("~/.local/share/earwitness")
CACHE = Path("~/.cache/earwitness/features")


@handles_errors
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
    synthetic_clips: Annotated[int, typer.Option(min=0, help="number of synthetic scenes to generate")] = 0,
    feedback: Annotated[
        Path | None, typer.Option(help="verdicts, as `feedback export` writes them", show_default=False)
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(METHODS)}; the default of the feature space if not given",
            show_default=False,
            autocompletion=words(METHODS),
        ),
    ] = None,
    holdout: HoldOutOption = None,
    weights_dir: WeightsOption = WEIGHTS,
    cache: CacheOption = CACHE,
    epochs: Annotated[int | None, typer.Option(min=1, help="maximum epochs; the recipe's if not given")] = None,
    batch_pairs: Annotated[
        int | None, typer.Option(min=2, help="pairs per step of the paper's networks; the recipe's if not given")
    ] = None,
    validation: Annotated[
        bool, typer.Option(help="hold out clips to choose the number of epochs of the paper's networks")
    ] = True,
    calibration_from: Annotated[
        Path | None, typer.Option(help="checkpoint of another seed that provides shift, weight and calibration")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="checkpoint that a tagged network starts from; if not given, earwitness-small"
            " starts from one trained on general sounds, without street noise",
            show_default=False,
        ),
    ] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="start from random weights")] = False,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG file for the losses and validation mAP")] = None,
    json_: JsonOption = False,
) -> None:
    """Train a network and write it as a checkpoint.

    The command first holds out part of the clips to choose hyperparameters and to calibrate. Then it trains a
    network on all of them. It only evaluates on held-out sensors and folds, and stores the result in the
    checkpoint. After an interruption, run the same command again to continue.

    labels.csv has a row per clip: `clip` (file name), one column per category (0 or 1), and if known `sensor_id`.

    Example: earwitness-hub train --space logmel --data recordings/ --synthetic-clips 4000 --out my.safetensors
    """
    from hub.model.checkpoint import load, save
    from hub.training import plots, recipes
    from hub.training.auxiliary_data import versions_of
    from hub.training.datasets import DatasetReader
    from hub.training.drift_reference import add_drift_reference

    console = Console(stderr=True)
    name = resolve_space(space).id
    state = out.with_name(f".{out.name}.state")
    method = architecture or recipes.DEFAULT_METHOD.get(name, recipes.TAGGED)
    order = recipes.TrainingSpec(
        method=method,
        seed=seed,
        epochs=epochs,
        batch_pairs=batch_pairs,
        validation=validation,
        like=None if calibration_from is None else load(calibration_from),
        start=None
        if from_scratch
        else recipes.default_initialisation(name, method)
        if start is None
        else load(start),
        state=state,
    )
    sources = recipes.Sources(tuple(data or ()), synthetic_clips, feedback)
    held = recipes.HELD_OUT if holdout is None else tuple(holdout)
    with progress(console) as bar:
        reading = bar.add_task("reading", total=None)
        versions = versions_of(name)
        reader = DatasetReader(name, expanded(weights_dir), cache_of(cache), lambda: bar.advance(reading), versions)
        clips, aside = recipes.load_data(sources, reader, held, seed, started=order.start is not None)
        bar.update(reading, total=1, completed=1, description=f"read {len(clips)} clips")
        task = bar.add_task("training", total=1.0)

        def on_step(stage: str, number: int, share: float) -> None:
            bar.update(task, completed=share, description=f"{stage} epoch {number}")

        def on_epoch(epoch: "Epoch | TaggedEpoch") -> None:
            console.print(recipes.format_epoch(epoch))

        trained = recipes.run_training(clips, aside, order, on_epoch=on_epoch, on_step=on_step)
    facts = recipes.record_metadata(trained, sources, aside)
    trained = add_drift_reference(trained, clips)
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


def register(app: typer.Typer) -> None:
    """Add `train` to the hub's command line."""
    app.command()(train)


def cache_of(path: Path) -> Path | None:
    """Return the directory that `--cache` names; None for `-`, no cache."""
    return None if path == Path("-") else expanded(path)


def progress(console: Console) -> Progress:
    """Return a progress bar on standard error that disappears at the end."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
