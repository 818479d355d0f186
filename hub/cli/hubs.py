"""The command `earwitness-hub hubs remove`."""

from typing import Annotated

import typer

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.ingest.handover import redistribute_queue
from shared.command_line import to_json

app = typer.Typer(no_args_is_help=True, help="Hubs of one deployment.")


@app.command("remove")
@handles_errors
def drain_hub(
    name: Annotated[str, typer.Argument(help="the `hub.name` of the decommissioned hub")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Redistribute the queued events of a decommissioned hub, and delete its broker session.

    Example: earwitness-hub hubs remove hub-2 --config /etc/earwitness/hub.toml
    """
    settings = load_hub_settings(config, [*(override or []), f"hub.name={name}"])
    moved = redistribute_queue(settings)
    if json_:
        typer.echo(to_json({"hub": settings.hub.name, "handed_over": moved}))
    else:
        typer.echo(f"removed {settings.hub.name}: {moved} events went to the other hubs")
