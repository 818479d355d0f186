"""The hub's command `backbone distill`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub.cli.options import JsonOption, handles_errors
from shared.command_line import to_json
from shared.errors import UnavailableError
from shared.feature_space import EARWITNESS_SMALL
from shared.paths import expanded


@handles_errors
def distil(
    into: Annotated[
        Path, typer.Option(help="folder to write earwitness-small.onnx and .toml to", show_default=False)
    ],
    data: Annotated[
        list[Path] | None, typer.Option(help="folder of further training recordings; may be repeated")
    ] = None,
    leave_out: Annotated[
        str, typer.Option(help="skip the recordings of --data whose name begins with this, such as 5- of ESC-10")
    ] = "",
    work: Annotated[Path, typer.Option(help="folder for downloads and intermediate files")] = Path(
        "~/.cache/earwitness/distil"
    ),
    teacher: Annotated[
        Path | None,
        typer.Option(help="description (.toml) of the teacher network; YAMNet if not given", show_default=False),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="id of the new feature space, such as mine-u8/1; required with --teacher",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, help="maximum seconds read from each package and folder")] = 1500,
    keep_backbone: Annotated[
        bool,
        typer.Option("--keep-backbone", help="keep the backbone in --into and make only its labelled mixtures"),
    ] = False,
    blocks: Annotated[int, typer.Option(min=1, help="blocks of 4,096 mixtures; 20 s each on two cores")] = 130,
    seed: Annotated[int, typer.Option(min=0, help="fixes all randomness")] = 0,
    json_: JsonOption = False,
) -> None:
    """Build the backbone earwitness-small again: download free recordings, and distil a teacher network on them.

    Needs Debian with apt, the optional dependencies `distil`, 20 GB of disk and an hour on two cores. The command
    keeps finished steps in --work and does not repeat them. It writes labelled mixtures for `train` to
    --work/mixtures/.

    The teacher is YAMNet, or any network that tags sound: an ONNX file and a TOML file in the same folder. The TOML
    file names model, takes ("sound" with rate_hz and window, or "log-mel"), the outputs embedding and scores,
    scores_are ("probabilities" or "log-odds"), classes and, unless they are AudioSet's, [categories]. See
    docs/feature-spaces.md.

    Example: earwitness-hub backbone distill --data esc10/ --leave-out 5- --into shared/backbones

    Example: earwitness-hub backbone distill --teacher panns.toml --id mine-u8/1 --into mine/ --work mine/work
    """
    try:
        from hub.training.distillation.distillation import DistilPlan
        from hub.training.distillation.pipeline import Order, build_backbone
    except ImportError as error:
        raise UnavailableError(f"{error}: pip install 'earwitness[distil]'") from error
    console = Console(stderr=True, highlight=False)
    work = expanded(work).resolve()
    space = EARWITNESS_SMALL if id_ is None else replace(EARWITNESS_SMALL, id=id_)
    order = Order(into, tuple(data or ()), leave_out, teacher, space, seconds, keep_backbone)
    description = build_backbone(work, order, DistilPlan(blocks=blocks, seed=seed), console.print)
    if json_:
        typer.echo(to_json({"description": str(description)}))
    else:
        typer.echo(f"Wrote {description}. Its retrieval checkpoint: earwitness-hub train --space {description} ...")


def register(app: typer.Typer) -> None:
    """Add `backbone distill` to the hub's command line."""
    backbone = typer.Typer(no_args_is_help=True, help="Networks that compute embeddings.")
    backbone.command("distill")(distil)
    app.add_typer(backbone, name="backbone")
