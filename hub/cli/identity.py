"""The hub's command `checkpoint train-identity`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub.cli.options import JsonOption, handles_errors
from hub.cli.training import CACHE, CacheOption, WeightsOption, cache_of, progress
from shared.command_line import to_json
from shared.console import plain_console
from shared.paths import expanded


@handles_errors
def identity(
    checkpoint: Annotated[Path, typer.Option(help="checkpoint of any network", show_default=False)],
    data: Annotated[
        list[Path], typer.Option(help="folder of clips, as `train` takes it; may be repeated", show_default=False)
    ],
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="sensor-<id> or fold-<digit> to exclude from training; may be repeated", show_default=False
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="checkpoint with the initial identity; whitening if not given", show_default=False),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=100.0,
            help="levels of similarity that a perfect identity is worth in a search by both; if not given, as"
            " before, or of the feature space",
            show_default=False,
        ),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(
            min=-1.0,
            max=0.99,
            help="cosine up to which an identity is worth nothing; if not given, likewise",
            show_default=False,
        ),
    ] = None,
    margins: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="two margins of cosines: the event closest by source, if it exceeds the tenth closest of the others"
            " by the first, ranks first in a search by both; by the second, tenth or better; if not given, likewise",
            show_default=False,
        ),
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_536, help="hidden units beside the projection; if not given, likewise", show_default=False
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="steps of the optimiser; 0 leaves it at whitening, as few clips do if not given",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="checkpoint to write; replaces --checkpoint if not given", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="SVG file for the reliability of P(same source)", show_default=False)
    ] = None,
    weights_dir: WeightsOption = Path("~/.local/share/earwitness"),
    cache: CacheOption = CACHE,
    json_: JsonOption = False,
) -> None:
    """Train the identity embedding of a checkpoint, which distinguishes sources of one kind, such as two dogs.

    Training needs no labels: two halves of a clip are of one source. The rest of the checkpoint stays unchanged.

    Example: earwitness-hub checkpoint train-identity --checkpoint my.safetensors --data recordings/
    """
    from hub.domain.closest_source import Margins
    from hub.model.checkpoint import load, save
    from hub.training import plots
    from hub.training.dataset import joined, without
    from hub.training.datasets import DatasetReader
    from hub.training.identity_training import plan_of, teach

    given = load(checkpoint)
    begin = None if start is None else load(start).identity
    with progress(Console(stderr=True)) as bar:
        reading = bar.add_task("reading", total=None)
        reader = DatasetReader(given.space.id, expanded(weights_dir), cache_of(cache), lambda: bar.advance(reading))
        clips = without(joined([reader.training_set(folder) for folder in data]), leave_out or ())[0]
        bar.update(reading, total=1, completed=1, description=f"read {len(clips)} clips")
        plan = replace(plan_of(given), seed=seed)
        if steps is not None:
            plan = replace(plan, steps=steps)
        if weight is not None:
            plan = replace(plan, weight=weight)
        if floor is not None:
            plan = replace(plan, floor=floor)
        if margins is not None:
            plan = replace(plan, margins=Margins(*margins))
        if hidden is not None:
            plan = replace(plan, hidden=hidden)
        task = bar.add_task("identity", total=1.0)
        trained = teach(
            given,
            clips,
            plan,
            start=begin,
            progress=lambda what, share: bar.update(task, description=what, completed=share),
        )
    target = out or checkpoint
    save(target, trained)
    found = trained.record["identity"]
    if plot is not None:
        bins = found["reliability"]
        plots.reliability(plot, {"all pairs": bins["pair"], "the ten best of each query": bins["match"]})
    if json_:
        typer.echo(to_json({"checkpoint": str(target), "weight": plan.weight, "floor": plan.floor, **found}))
        return
    table = Table("the other half is found", "share", title=f"{found['queries']} halves of {found['database']} clips")
    for name in ("first", "ten"):
        table.add_row({"first": "first", "ten": "among ten"}[name], f"{found[name]:.3f}")
    plain_console().print(table)
    pair, match = found["ece"]["pair"], found["ece"]["match"]
    typer.echo(f"Expected calibration error of P(same source): {pair:.4f} of all pairs, {match:.4f} of the ten best.")
    typer.echo(f"Wrote {target}.")


def register(app: typer.Typer) -> None:
    """Add `checkpoint train-identity` to the hub's command line."""
    app.command("train-identity")(identity)
