"""The hub's command `checkpoint train-sketch`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from hub.cli.options import JsonOption, handles_errors
from hub.cli.training import CACHE, CacheOption, WeightsOption, cache_of, progress
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.paths import expanded


@handles_errors
def sketch(
    checkpoint: Annotated[Path, typer.Option(help="checkpoint of a Siamese network", show_default=False)],
    data: Annotated[
        list[Path], typer.Option(help="folder of clips, as `train` takes it; may be repeated", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="checkpoint to write; replaces --checkpoint if not given", show_default=False)
    ] = None,
    values: Annotated[int, typer.Option(min=8, max=1024, help="dimension of a sketch")] = 64,
    blocks: Annotated[int, typer.Option(min=1, help="training sets of 800 queries and 2,500 events")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="steps of the optimiser")] = 5_000,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    weights_dir: WeightsOption = Path("~/.local/share/earwitness"),
    cache: CacheOption = CACHE,
    json_: JsonOption = False,
) -> None:
    """Train the sketch of a Siamese checkpoint, so that a search can choose candidates among a million events.

    A tagged checkpoint, such as the shipped ones, needs no sketch: the search uses its tags.

    Example: earwitness-hub checkpoint train-sketch --checkpoint my.safetensors --data recordings/
    """
    from hub.model.checkpoint import load, save
    from hub.model.tagger import TaggingEnsemble
    from hub.training.datasets import DatasetReader
    from hub.training.sketch_training import SketchPlan, train_sketch

    model = load(checkpoint)
    if isinstance(model.network, TaggingEnsemble):
        raise InvalidError(f"{checkpoint} is a tagged network: its tags are its sketch, so no training is needed")
    with progress(Console(stderr=True)) as bar:
        reading = bar.add_task("reading", total=None)
        reader = DatasetReader(model.space.id, expanded(weights_dir), cache_of(cache), lambda: bar.advance(reading))
        clips = np.concatenate([reader.training_set(folder).features for folder in data])
        bar.update(reading, total=1, completed=1, description=f"read {len(clips)} clips")
        task = bar.add_task("sketch", total=1.0)
        trained = train_sketch(
            model,
            clips,
            replace(SketchPlan(), values=values, blocks=blocks, steps=steps, seed=seed),
            lambda what, share: bar.update(task, description=what, completed=share),
        )
    target = out or checkpoint
    save(target, trained)
    recall = trained.record["sketch"]["recall"]
    if json_:
        typer.echo(to_json({"checkpoint": str(target), "recall_at_10": recall}))
        return
    table = Table("candidates", "recall@10", title=f"sketch of {values} values, clips set aside")
    for count, share in recall.items():
        table.add_row(count, f"{share:.3f}")
    plain_console().print(table)
    typer.echo(f"Wrote {target}.")


def register(app: typer.Typer) -> None:
    """Add `checkpoint train-sketch` to the hub's command line."""
    app.command("train-sketch")(sketch)
