"""The hub's commands `bench ...`."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub.bench.embed import costs
from hub.options import JsonOption, reported

app = typer.Typer(no_args_is_help=True, help="Measure what things cost on this machine.")


@app.command()
@reported
def embed(
    spaces: Annotated[
        list[str] | None,
        typer.Argument(help="feature spaces, or descriptions (.toml); all that are here if none is given"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="clips per feature space")] = 30,
    json_: JsonOption = False,
) -> None:
    """Time and memory for turning a clip of 10 s at 48 kHz into features, on one thread.

    Example: earwitness-hub bench embed --json
    """
    with tempfile.TemporaryDirectory(prefix="earwitness-") as made:
        names = spaces or ["logmel", "earwitness-small", *_yamnet(Path(made)), "vggish"]
        found = costs(names, repeats)
    if json_:
        typer.echo(json.dumps([asdict(cost) for cost in found]))
        return
    table = Table(title=f"one clip of 10 s, one thread, median of {repeats}")
    for column in ("feature space", "ms a clip", "slowest", "memory, MB"):
        table.add_column(column)
    for cost in found:
        table.add_row(cost.space, f"{cost.ms_per_clip:.1f}", f"{cost.slowest_ms:.1f}", f"{cost.memory_mb:.0f}")
    Console().print(table)


def _yamnet(into: Path) -> list[str]:
    """YAMNet's description, if the extra `distil` is installed."""
    try:
        from hub.training.distil.yamnet import yamnet  # noqa: PLC0415

        return [str(yamnet(into))]
    except ImportError:
        return []
