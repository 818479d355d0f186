"""The hub's command `distil`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub.options import JsonOption, reported
from shared.command_line import to_json
from shared.errors import Unavailable
from shared.paths import expanded


@reported
def distil(
    into: Annotated[Path, typer.Option(help="where earwitness-small.onnx and .toml are written", show_default=False)],
    data: Annotated[
        list[Path] | None, typer.Option(help="folder of further recordings to learn from; may be repeated")
    ] = None,
    leave_out: Annotated[
        str, typer.Option(help="recordings of --data whose name begins so are not heard, such as 5- of ESC-10")
    ] = "",
    work: Annotated[Path, typer.Option(help="where packages and everything made on the way are kept")] = Path(
        "~/.cache/earwitness/distil"
    ),
    blocks: Annotated[int, typer.Option(min=1, help="blocks of 4,096 mixtures; 20 s each on two cores")] = 130,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    json_: JsonOption = False,
) -> None:
    """Make the backbone earwitness-small anew: fetch free recordings, and learn from YAMNet what they are.

    Needs Debian with apt, the optional dependencies `distil`, 20 GB of disk and an hour on two cores. What is done
    is kept in --work and not done again. Labelled mixtures for `train` are left in --work, in mixtures/.

    Example: earwitness-hub distil --data esc10/ --leave-out 5- --into shared/backbones
    """
    try:
        from hub.training.distil.learning import DistilPlan
        from hub.training.distil.run import make
    except ImportError as error:
        raise Unavailable(f"{error}: pip install 'earwitness[distil]'") from error
    console = Console(stderr=True, highlight=False)
    work = expanded(work).resolve()
    plan = DistilPlan(blocks=blocks, seed=seed)
    description = make(work, into, data or (), leave_out, plan, console.print)
    if json_:
        typer.echo(to_json({"description": str(description)}))
    else:
        typer.echo(f"Wrote {description}. Its retrieval checkpoint: earwitness-hub train --space {description} ...")


def register(app: typer.Typer) -> None:
    """Add `distil` to the hub's command line."""
    app.command()(distil)
