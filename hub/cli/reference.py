"""The hub's command `reference`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hub.cli.options import JsonOption, handles_errors
from hub.cli.training import CACHE, CacheOption, WeightsOption, cache_of, progress
from shared.command_line import to_json
from shared.paths import expanded


@handles_errors
def reference(
    checkpoint: Annotated[Path, typer.Option(help="checkpoint", show_default=False)],
    data: Annotated[
        list[Path],
        typer.Option(
            help="folder of the clips it learnt from, as `train` takes it; may be repeated", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="checkpoint to write; the one given is replaced otherwise", show_default=False)
    ] = None,
    weights_dir: WeightsOption = Path("~/.local/share/earwitness"),
    cache: CacheOption = CACHE,
    json_: JsonOption = False,
) -> None:
    """Write into a checkpoint what it learnt from, so that a hub can tell how unlike that a place is.

    `train` does so by itself: this is for checkpoints from before it did.

    Example: earwitness-hub checkpoint add-drift-reference --checkpoint my.safetensors --data recordings/
    """
    from hub.model.checkpoint import load, save
    from hub.training import recipes
    from hub.training.datasets import DatasetReader
    from hub.training.drift_reference import add_drift_reference

    given = load(checkpoint)
    with progress(Console(stderr=True)) as bar:
        heard = bar.add_task("reading", total=None)
        reader = DatasetReader(given.space.id, expanded(weights_dir), cache_of(cache), lambda: bar.advance(heard))
        clips, _ = recipes.load_data(recipes.Sources(tuple(data), 0, None), reader, (), 0)
        told = add_drift_reference(given, clips)
    target = out or checkpoint
    save(target, told)
    made: dict[str, Any] = {"checkpoint": str(target), "clips": told.record["reference"]["spans"]}
    typer.echo(to_json(made) if json_ else f"Wrote {target}: it tells what {made['clips']} clips are like.")


def register(app: typer.Typer) -> None:
    """Add `reference` to the hub's command line."""
    app.command("add-drift-reference")(reference)
