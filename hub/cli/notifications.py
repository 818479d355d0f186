"""`earwitness-hub notify`: who is told of alerts, what waits for them, a test, and what they could not be told."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from hub.app.factory import open_archive
from hub.cli.options import ConfigOption, JsonOption, SetOption, reported, settings_from
from hub.notify.dispatcher import MQTT
from hub.notify.outbox import Outbox, Refused, known_names
from hub.notify.rendering import Text
from hub.notify.service import Way, notifiers_of
from hub.settings import HubSettings
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import EarwitnessError, Invalid
from shared.messages import AlertMessage, MatchMessage
from shared.paths import printable

app = typer.Typer(no_args_is_help=True, help="Ways out of alerts: what waits, a test, dead letters.")
dead = typer.Typer(no_args_is_help=True, help="Alerts that a notifier could not be told: list, retry, remove.")
app.add_typer(dead, name="dead")

NameArgument = Annotated[str, typer.Argument(help="the notifier's name, as `notify list` shows it")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="ids as `notify dead list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="every dead letter of this notifier")]
GONE = "(not in the settings)"


def _client(settings: HubSettings) -> Any:  # noqa: ANN401 - the client is untyped
    return open_archive(settings).client


@app.command("list")
@reported
def list_(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show every way out: what waits, what is held for a digest, what was given up, and what went wrong last.

    Example: earwitness-hub notify list
    """
    settings = settings_from(config, override)
    kinds = {MQTT: MQTT, **{way.name: way.kind for way in notifiers_of(settings)}}
    client = _client(settings)
    rows = [_state(Outbox(client, name), kind) for name, kind in kinds.items()]
    forgotten = [_state(Outbox(client, name), GONE) for name in known_names(client) if name not in kinds]
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
@reported
def try_out(
    name: NameArgument, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Send a plainly marked test alert by one way now, whatever its rules; exit 1 or 2 if it is not taken.

    Example: earwitness-hub notify test ops --config /etc/earwitness/hub.toml
    """
    settings = settings_from(config, override)
    if name == MQTT:
        raise Invalid("on MQTT a test would be taken for an alert: `earwitness-hub check` tries the broker")
    ways = notifiers_of(settings)
    way = next((way for way in ways if way.name == name), None)
    if way is None:
        raise Invalid(f"no notifier {name!r} in the settings; there are: {', '.join(w.name for w in ways) or 'none'}")
    alert, text = _test_alert(), _test_text(way, settings)
    failure: EarwitnessError | None = None
    try:
        way.notifier.send([alert], text)
    except EarwitnessError as error:
        failure = error
    if json_:
        outcome = "taken" if failure is None else "refused" if isinstance(failure, Invalid) else "unavailable"
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


def _test_text(way: Way, settings: HubSettings) -> Text:
    return Text(
        title="TEST alert from Earwitness: nothing was heard",
        body=f"Hub {settings.hub.name} sent this to see whether {way.name} works. There is nothing to do.",
        page=way.wording.page(),
    )


@dead.command("list")
@reported
def dead_list(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show what could not be told, of every notifier, the oldest first.

    Example: earwitness-hub notify dead list --json
    """
    client = _client(settings_from(config, override))
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


def _as_json(name: str, letter: Refused) -> dict[str, object]:
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
@reported
def retry(
    name: NameArgument,
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Have a running hub send dead letters again, once the cause is mended; alerts that expired are left out.

    Example: earwitness-hub notify dead retry desk --all
    """
    outbox, chosen = _chosen(name, ids or [], everything, settings_from(config, override))
    outbox.put_back(chosen)
    typer.echo(to_json({"retried": len(chosen)}) if json_ else f"{len(chosen)} put back")


@dead.command()
@reported
def remove(
    name: NameArgument,
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Remove dead letters for good; the alerts stay in the archive.

    Example: earwitness-hub notify dead remove desk --all
    """
    outbox, chosen = _chosen(name, ids or [], everything, settings_from(config, override))
    outbox.remove(chosen)
    typer.echo(to_json({"removed": len(chosen)}) if json_ else f"{len(chosen)} removed")


def _chosen(name: str, ids: Sequence[str], everything: bool, settings: HubSettings) -> tuple[Outbox, list[Refused]]:
    if everything == bool(ids):
        raise Invalid("name the dead letters, or give --all")
    client = _client(settings)
    if name not in known_names(client):
        raise Invalid(f"no alert was ever put out for {name!r}")
    outbox = Outbox(client, name)
    letters = outbox.dead()
    if missing := set(ids) - {letter.id for letter in letters}:
        raise Invalid(f"{name} has no dead letters {sorted(missing)}")
    return outbox, letters if everything else [letter for letter in letters if letter.id in ids]
