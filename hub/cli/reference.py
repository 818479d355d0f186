"""The hub's command `checkpoint add-drift-reference`."""

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
        typer.Option(help="folder of its training clips, as `train` takes it; may be repeated", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="checkpoint to write; replaces --checkpoint if not given", show_default=False)
    ] = None,
    weights_dir: WeightsOption = Path("~/.local/share/earwitness"),
    cache: CacheOption = CACHE,
    json_: JsonOption = False,
) -> None:
    """Add statistics of the training data to a checkpoint, as the reference for drift detection.

    `train` adds them already; use this command for older checkpoints.

    Example: earwitness-hub checkpoint add-drift-reference --checkpoint my.safetensors --data recordings/
    """
    from hub.model.checkpoint import load, save
    from hub.training import recipes
    from hub.training.datasets import DatasetReader
    from hub.training.drift_reference import add_drift_reference

    model = load(checkpoint)
    with progress(Console(stderr=True)) as bar:
        reading = bar.add_task("reading", total=None)
        reader = DatasetReader(model.space.id, expanded(weights_dir), cache_of(cache), lambda: bar.advance(reading))
        clips, _ = recipes.load_data(recipes.Sources(tuple(data), 0, None), reader, (), 0)
        extended = add_drift_reference(model, clips)
    target = out or checkpoint
    save(target, extended)
    result: dict[str, Any] = {"checkpoint": str(target), "clips": extended.record["reference"]["spans"]}
    typer.echo(to_json(result) if json_ else f"Wrote {target} with the statistics of {result['clips']} clips.")


def register(app: typer.Typer) -> None:
    """Add `checkpoint add-drift-reference` to the hub's command line."""
    app.command("add-drift-reference")(reference)
