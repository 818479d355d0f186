"""The command `earwitness-hub sensors command`."""

from typing import Annotated

import typer

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.commands.command_client import EXPIRES_S, make_command, replies
from shared.command_line import to_json
from shared.commands import ACTIONS, CommandAction, ReplyMessage
from shared.errors import InvalidError

app = typer.Typer(no_args_is_help=True, help="Commands to sensors over the broker.")


@app.callback()
def sensors() -> None:
    """Send commands to sensors over the broker."""


@app.command("command")
@handles_errors
def command_(
    place: Annotated[str, typer.Argument(metavar="SITE/SENSOR", help="the sensor")],
    action: Annotated[str, typer.Argument(metavar="ACTION", help=f"one of: {', '.join(ACTIONS)}")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            help="for `change-settings`: group.field=value, or group.field alone to remove an earlier change",
            show_default=False,
        ),
    ] = None,
    expires_s: Annotated[
        int, typer.Option(min=1, max=86_400, help="the sensor does not run the command after this many seconds")
    ] = EXPIRES_S,
    wait_s: Annotated[float, typer.Option(min=1, help="longest wait for the final reply, in seconds")] = 180.0,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Send a command to a sensor: query or change its settings, restart it, test it, request a clip or its version.

    A sensor that does not come back after a change of its settings undoes the change by itself. Exits with 1 if the
    sensor refused the command or undid the change.

    Example: earwitness-hub sensors command harbour/street-1 change-settings --change sensor.report_interval_s=60
    """
    settings = load_hub_settings(config, override)
    if bool(change) != (action == "change-settings"):
        raise InvalidError("--change and the action change-settings go together")
    command = make_command(
        place, action_of(action), hub=settings.hub.name, settings=parse_changes(change or []), expires_s=expires_s
    )
    last: ReplyMessage | None = None
    for last in replies(settings.mqtt, command, wait_s):
        if not json_:
            typer.echo(f"{place}: {last.status}{f': {last.reason}' if last.reason else ''}", err=not last.is_final)
    if last is None:
        return
    if json_:
        typer.echo(to_json(last.model_dump(mode="json")))
    else:
        for line in result_lines(last):
            typer.echo(line)
    if last.status != "done" or any(not finding.ok for finding in last.findings or []):
        raise typer.Exit(1)


def action_of(text: str) -> CommandAction:
    """Return the action of that name.

    Raises:
        InvalidError: there is none.
    """
    for action in ACTIONS:
        if action == text:
            return action
    raise InvalidError(f"{text!r} is not an action: give one of {', '.join(ACTIONS)}")


def parse_changes(changes: list[str]) -> dict[str, str | None]:
    """Return the changes by `group.field`; a name without `=` removes an earlier change."""
    parts = [change.partition("=") for change in changes]
    return {name.strip(): value if equals else None for name, equals, value in parts}


def result_lines(reply: ReplyMessage) -> list[str]:
    """Return the result of a command as lines of text."""
    marks = dict.fromkeys(reply.changed, "  (changed by a hub)")
    lines = [f"  {name} = {value}{marks.get(name, '')}" for name, value in (reply.settings or {}).items()]
    lines += [f"  {'ok  ' if one.ok else 'FAIL'} {one.what}: {one.text}" for one in reply.findings or []]
    lines += [f"  {name}: {value}" for name, value in (reply.software or {}).items()]
    return lines + ([f"  event {reply.event}"] if reply.event else [])
