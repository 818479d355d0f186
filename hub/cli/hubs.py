"""Define the command `earwitness-hub leave`."""

import typer

from hub.cli.options import ConfigOption, JsonOption, SetOption, reported, settings_from
from hub.ingest.handover import hand_over
from shared.command_line import to_json


@reported
def leave(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Hand what waits for a hub that is gone for good to the others, and end its session at the broker.

    Example: earwitness-hub leave --config /etc/earwitness/hub.toml --set hub.name=hub-2
    """
    settings = settings_from(config, override)
    handed = hand_over(settings)
    if json_:
        typer.echo(to_json({"hub": settings.hub.name, "handed_over": handed}))
    else:
        typer.echo(f"{settings.hub.name} has left: {handed} events went to the other hubs")
