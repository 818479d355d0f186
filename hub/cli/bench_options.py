"""Options, progress and output that the commands `bench ...` share."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.command_line import to_json
from shared.console import plain_console
from shared.feature_space import SHORT_NAMES, VGGISH

if TYPE_CHECKING:
    from hub.model.checkpoint import Checkpoint


DataOption = Annotated[
    Path | None,
    typer.Option(
        help="folder with VGGish embeddings (train.npz, eval_dev.npz) to fill archives with; random if not given",
        show_default=False,
    ),
]

CheckpointOption = Annotated[
    Path | None,
    typer.Option(help="checkpoint to measure; the paper's network for VGGish if not given", show_default=False),
]

HubCheckpointOption = Annotated[
    Path | None,
    typer.Option(help="checkpoint for VGGish that the hub uses; the shipped one if not given", show_default=False),
]


def measured_checkpoint(path: Path | None) -> "Checkpoint":
    """Return the checkpoint to measure; the paper's network if no path is given."""
    from hub.model.checkpoint import baseline_checkpoint, load

    return load(baseline_checkpoint(VGGISH.id, "paper") if path is None else path)


def checkpoint_settings(path: Path | None) -> tuple[str, ...]:
    """Return the setting for this VGGish checkpoint, with the shipped checkpoints of other feature spaces."""
    if path is None:
        return ()
    from hub.model.checkpoint import default_checkpoint

    others = [str(default_checkpoint(space)) for space in SHORT_NAMES.values() if space != VGGISH.id]
    return (f"model.checkpoints={json.dumps([str(path.resolve()), *others])}",)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on standard error; yield a function of (name of the step, share done in [0, 1])."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def print_figures(title: str, figures: dict[str, Any], json_: bool) -> None:
    """Print figures as a table, or as JSON."""
    if json_:
        typer.echo(to_json(figures))
        return
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        if isinstance(value, list | dict):
            for row in [value] if isinstance(value, dict) else value:
                table.add_row(name, ", ".join(f"{key} {_short(one)}" for key, one in row.items()))
        else:
            table.add_row(name, _short(value))
    plain_console().print(table)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def installed_yamnet(into: Path) -> list[str]:
    """Return YAMNet's description if the extra `distil` is installed, otherwise an empty list."""
    try:
        from hub.training.distillation.yamnet import yamnet

        return [str(yamnet(into))]
    except ImportError:
        return []
