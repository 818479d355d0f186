"""`earwitness-hub notifications`: list channels and their queues, send a test, handle dead letters."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from hub.app.factory import build_event_store
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.notify.channel_test import channel_of, send_test_alert
from hub.notify.dispatcher import MQTT
from hub.notify.outbox import FailedNotification, Outbox, known_names
from hub.notify.service import notifiers_of
from hub.settings import HubSettings
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import EarwitnessError, InvalidError
from shared.paths import printable

app = typer.Typer(no_args_is_help=True, help="Notification channels: queues, a test, dead letters.")
dead = typer.Typer(no_args_is_help=True, help="Notifications that a channel could not send: list, requeue, remove.")
app.add_typer(dead, name="dead-letters")

NameArgument = Annotated[str, typer.Argument(help="name of the channel, as `notifications list` shows it")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="ids as `notifications dead-letters list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="every dead letter of this channel")]
NOT_CONFIGURED = "(not in the settings)"


def _client(settings: HubSettings) -> Any:  # noqa: ANN401 - the client is untyped
    return build_event_store(settings).client


@app.command("list")
@handles_errors
def list_(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """List the channels with their counts of waiting, held and dead notifications, and their last failure.

    Example: earwitness-hub notifications list
    """
    settings = load_hub_settings(config, override)
    kinds = {MQTT: MQTT, **{channel.name: channel.kind for channel in notifiers_of(settings)}}
    client = _client(settings)
    rows = [_state(Outbox(client, name), kind) for name, kind in kinds.items()]
    forgotten = [_state(Outbox(client, name), NOT_CONFIGURED) for name in known_names(client) if name not in kinds]
    rows += [row for row in forgotten if row["waiting"] or row["held"] or row["dead"]]
    if json_:
        typer.echo(to_json(rows))
        return
    table = Table("name", "kind", "waiting", "held", "dead", "last failure")
    for row in rows:
        table.add_row(*(printable(str(value)) for value in row.values()))
    plain_console().print(table)


def _state(outbox: Outbox, kind: str) -> dict[str, object]:
    trouble = outbox.trouble()
    return {
        "name": outbox.name,
        "kind": kind,
        "waiting": outbox.count(),
        "held": outbox.held_count(),
        "dead": outbox.dead_count(),
        "trouble": f"{trouble.at:%Y-%m-%d %H:%M:%S} {trouble.reason}" if trouble else "",
    }


@app.command("test")
@handles_errors
def send_test(
    name: NameArgument, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Send a clearly marked test alert through one channel now, regardless of its rules. Exit with 1 or 2 on failure.

    Example: earwitness-hub notifications test ops --config /etc/earwitness/hub.toml
    """
    settings = load_hub_settings(config, override)
    channel = channel_of(settings, name)
    failure: EarwitnessError | None = None
    try:
        send_test_alert(channel, settings.hub.name)
    except EarwitnessError as error:
        failure = error
    if json_:
        outcome = "taken" if failure is None else "refused" if isinstance(failure, InvalidError) else "unavailable"
        typer.echo(
            to_json({"notifier": name, "kind": channel.kind, "outcome": outcome, "reason": str(failure or "")})
        )
    if failure is not None:
        raise failure
    if not json_:
        typer.echo(f"{name} ({channel.kind}) accepted the test alert")


@dead.command("list")
@handles_errors
def dead_list(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """List the dead letters of every channel, oldest first.

    Example: earwitness-hub notifications dead-letters list --json
    """
    client = _client(load_hub_settings(config, override))
    letters = [(name, letter) for name in known_names(client) for letter in Outbox(client, name).dead()]
    if json_:
        typer.echo(to_json([_as_json(name, letter) for name, letter in letters]))
        return
    table = Table("channel", "id", "failed", "attempts", "alerts", "reason")
    for name, letter in letters:
        alerts = letter.events[0] if len(letter.events) == 1 else f"{len(letter.events)} of a digest"
        at = f"{letter.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(name, letter.id, at, str(letter.attempts), alerts, printable(letter.reason))
    plain_console().print(table if letters else "no dead letters")


def _as_json(name: str, letter: FailedNotification) -> dict[str, object]:
    return {
        "notifier": name,
        "id": letter.id,
        "alerts": letter.events,
        "digest": letter.digest,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at": letter.at.isoformat(),
    }


@dead.command()
@handles_errors
def requeue(
    name: NameArgument,
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Let a running hub send dead letters again; fix the cause first. The hub skips alerts that have expired.

    Example: earwitness-hub notifications dead-letters requeue desk --all
    """
    outbox, chosen = _chosen(name, ids or [], everything, load_hub_settings(config, override))
    outbox.requeue(chosen)
    typer.echo(to_json({"requeued": len(chosen)}) if json_ else f"{len(chosen)} requeued")


@dead.command()
@handles_errors
def remove(
    name: NameArgument,
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Remove dead letters for good; the alerts stay in the archive.

    Example: earwitness-hub notifications dead-letters remove desk --all
    """
    outbox, chosen = _chosen(name, ids or [], everything, load_hub_settings(config, override))
    outbox.remove(chosen)
    typer.echo(to_json({"removed": len(chosen)}) if json_ else f"{len(chosen)} removed")


def _chosen(
    name: str, ids: Sequence[str], everything: bool, settings: HubSettings
) -> tuple[Outbox, list[FailedNotification]]:
    if everything == bool(ids):
        raise InvalidError("give ids of dead letters, or --all")
    client = _client(settings)
    if name not in known_names(client):
        raise InvalidError(f"no channel {name!r} has an outbox; `earwitness-hub notifications list` shows them")
    outbox = Outbox(client, name)
    letters = outbox.dead()
    if missing := set(ids) - {letter.id for letter in letters}:
        raise InvalidError(f"{name} has no dead letters {sorted(missing)}")
    return outbox, letters if everything else [letter for letter in letters if letter.id in ids]
