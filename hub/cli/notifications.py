"""`earwitness-hub notifications`: the channels of alerts, what waits for them, a test, and dead letters."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from hub.app.factory import build_event_store
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.notify.dispatcher import MQTT
from hub.notify.outbox import FailedNotification, Outbox, known_names
from hub.notify.rendering import RenderedMessage
from hub.notify.service import ConfiguredChannel, notifiers_of
from hub.settings import HubSettings
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import EarwitnessError, InvalidError
from shared.messages import AlertMessage, MatchMessage
from shared.paths import printable

app = typer.Typer(no_args_is_help=True, help="Ways out of alerts: what waits, a test, dead letters.")
dead = typer.Typer(no_args_is_help=True, help="Alerts that a notifier could not be told: list, retry, remove.")
app.add_typer(dead, name="dead-letters")

NameArgument = Annotated[str, typer.Argument(help="the notifier's name, as `notify list` shows it")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="ids as `notify dead list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="every dead letter of this notifier")]
NOT_CONFIGURED = "(not in the settings)"


def _client(settings: HubSettings) -> Any:  # noqa: ANN401 - the client is untyped
    return build_event_store(settings).client


@app.command("list")
@handles_errors
def list_(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show every way out: what waits, what is held for a digest, what was given up, and what went wrong last.

    Example: earwitness-hub notifications list
    """
    settings = load_hub_settings(config, override)
    kinds = {MQTT: MQTT, **{way.name: way.kind for way in notifiers_of(settings)}}
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
    """Send a plainly marked test alert by one way now, whatever its rules; exit 1 or 2 if it is not taken.

    Example: earwitness-hub notifications test ops --config /etc/earwitness/hub.toml
    """
    settings = load_hub_settings(config, override)
    if name == MQTT:
        raise InvalidError("on MQTT a test would be taken for an alert: `earwitness-hub check` tries the broker")
    ways = notifiers_of(settings)
    way = next((way for way in ways if way.name == name), None)
    if way is None:
        raise InvalidError(
            f"no notifier {name!r} in the settings; there are: {', '.join(w.name for w in ways) or 'none'}"
        )
    alert, text = _test_alert(), _test_text(way, settings)
    failure: EarwitnessError | None = None
    try:
        way.notifier.send([alert], text)
    except EarwitnessError as error:
        failure = error
    if json_:
        outcome = "taken" if failure is None else "refused" if isinstance(failure, InvalidError) else "unavailable"
        typer.echo(to_json({"notifier": name, "kind": way.kind, "outcome": outcome, "reason": str(failure or "")}))
    if failure is not None:
        raise failure
    if not json_:
        typer.echo(f"{name} ({way.kind}) took the test alert")


def _test_alert() -> AlertMessage:
    now = datetime.now(UTC)
    event = f"test.{uuid.uuid4().hex[:12]}.0"
    match = MatchMessage(event="test.test.test.0", site="test", sensor="test", captured_at=now, level=0.0, shared={})
    return AlertMessage(
        event=event,
        site="test",
        sensor="test",
        captured_at=now,
        laeq=0.0,
        lafmax=0.0,
        level_unit="dBFS",
        presence={},
        matches=[match],
    )


def _test_text(way: ConfiguredChannel, settings: HubSettings) -> RenderedMessage:
    return RenderedMessage(
        title="TEST alert from Earwitness: nothing was heard",
        body=f"Hub {settings.hub.name} sent this to see whether {way.name} works. There is nothing to do.",
        page=way.wording.page(),
    )


@dead.command("list")
@handles_errors
def dead_list(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show what could not be told, of every notifier, the oldest first.

    Example: earwitness-hub notifications dead-letters list --json
    """
    client = _client(load_hub_settings(config, override))
    found = [(name, letter) for name in known_names(client) for letter in Outbox(client, name).dead()]
    if json_:
        typer.echo(to_json([_as_json(name, letter) for name, letter in found]))
        return
    table = Table("notifier", "id", "given up", "attempts", "alerts", "reason")
    for name, letter in found:
        alerts = letter.events[0] if len(letter.events) == 1 else f"{len(letter.events)} of a digest"
        at = f"{letter.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(name, letter.id, at, str(letter.attempts), alerts, printable(letter.reason))
    plain_console().print(table if found else "no dead letters")


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
    """Have a running hub send dead letters again, once the cause is mended; alerts that expired are left out.

    Example: earwitness-hub notifications dead-letters requeue desk --all
    """
    outbox, chosen = _chosen(name, ids or [], everything, load_hub_settings(config, override))
    outbox.requeue(chosen)
    typer.echo(to_json({"requeued": len(chosen)}) if json_ else f"{len(chosen)} put back")


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
        raise InvalidError("name the dead letters, or give --all")
    client = _client(settings)
    if name not in known_names(client):
        raise InvalidError(f"no alert was ever put out for {name!r}")
    outbox = Outbox(client, name)
    letters = outbox.dead()
    if missing := set(ids) - {letter.id for letter in letters}:
        raise InvalidError(f"{name} has no dead letters {sorted(missing)}")
    return outbox, letters if everything else [letter for letter in letters if letter.id in ids]
