"""`earwitness-hub dead-letters`: list messages that the hub rejected, publish them again, or remove them."""

import queue
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import typer
from rich.table import Table

from hub.app.factory import build_event_store
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.settings import HubSettings
from hub.store.dead_letters import DeadLetter
from hub.store.events import EventStore
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError, UnavailableError
from shared.messages.event import EVENT_CONTENT_TYPE
from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS, Acknowledged, Connected, Disconnected, MqttSession
from shared.paths import printable

ANSWER_WITHIN_S: Final = 15.0
_PAGE: Final = 500

app = typer.Typer(no_args_is_help=True, help="Messages that the hub rejected: list, requeue, remove.")

IdsArgument = Annotated[list[str] | None, typer.Argument(help="ids as `list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="every dead letter")]


def as_json(letter: DeadLetter) -> dict[str, object]:
    """Return a dead letter as a JSON object, without its payload."""
    return {
        "id": letter.id,
        "kind": letter.kind,
        "topic": letter.topic,
        "reason": letter.reason,
        "size": letter.size,
        "whole": letter.is_complete,
        "received_at": letter.received_at.isoformat(),
    }


@app.command("list")
@handles_errors
def list_(
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="maximum number of letters")] = 100,
    after: Annotated[str, typer.Option(help="list the letters after this id", show_default=False)] = "",
) -> None:
    """List the oldest dead letters with their reasons, without payloads.

    `invalid`: wrong data; the hub keeps the head of the message. `unsupported`: a feature space or version that the
    hub does not know. `bug`: a fault of the hub; the reason ends with the traceback.

    Example: earwitness-hub dead-letters list --limit 5
    """
    letters = build_event_store(load_hub_settings(config, override)).letters.page(limit, _id(after))
    if json_:
        typer.echo(to_json([as_json(letter) for letter in letters]))
        return
    table = Table("id", "received", "kind", "topic", "bytes", "reason")
    for letter in letters:
        received = letter.received_at.strftime("%Y-%m-%d %H:%M:%S")
        reason = letter.reason.strip().rpartition("\n")[2]
        row = (letter.id, received, letter.kind, printable(letter.topic), str(letter.size), printable(reason))
        table.add_row(*row)
    console = plain_console()
    console.print(table if letters else "no dead letters")
    if len(letters) == limit:
        console.print(f"for more, use --after {letters[-1].id}")


@app.command()
@handles_errors
def requeue(
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Publish dead letters on their original topic again, and remove each after the broker acknowledged it.

    Fix the cause first: update the hub, or add a checkpoint. A message that is still invalid becomes a new dead
    letter. The command skips letters of which the hub kept only the head.

    Example: earwitness-hub dead-letters requeue --all
    """
    settings = load_hub_settings(config, override)
    archive = build_event_store(settings)
    sent, kept = _publish(settings, archive, _select(archive, ids or [], everything))
    typer.echo(to_json({"reinjected": sent, "kept": kept}) if json_ else f"{sent} re-injected, {kept} kept")


@app.command()
@handles_errors
def remove(
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Remove dead letters for good.

    Example: earwitness-hub dead-letters remove --all
    """
    archive = build_event_store(load_hub_settings(config, override))
    removed = 0
    for letter in _select(archive, ids or [], everything):
        archive.letters.remove(letter.id)
        removed += 1
    typer.echo(to_json({"removed": removed}) if json_ else f"{removed} removed")


def _id(text: str) -> str:
    if text and not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", text):
        raise InvalidError(f"{text!r} is not the id of a dead letter, as `list` shows them")
    return text


def _select(archive: EventStore, ids: list[str], everything: bool) -> Iterable[DeadLetter]:
    """Return the letters with these ids, or all letters that exist now."""
    if everything == bool(ids):
        raise InvalidError("give ids of dead letters, or --all")
    if everything:
        return _every(archive, archive.letters.count())
    wanted = {_id(one) for one in ids}
    letters = [letter for letter in _every(archive, archive.letters.count()) if letter.id in wanted]
    if missing := wanted - {letter.id for letter in letters}:
        raise InvalidError(f"no dead letters {sorted(missing)}")
    return letters


def _every(archive: EventStore, most: int) -> Iterator[DeadLetter]:
    """Yield at most `most` of the oldest letters, read page by page."""
    after = ""
    while most > 0 and (page := archive.letters.page(min(_PAGE, most), after)):
        yield from page
        most, after = most - len(page), page[-1].id


def _publish(settings: HubSettings, archive: EventStore, letters: Iterable[DeadLetter]) -> tuple[int, int]:
    """Publish letters one after another; return how many the broker forwarded, and how many are incomplete."""
    link = MqttSession(settings.mqtt.without_session(), f"earwitness-reinject-{settings.hub.name}")
    link.start()
    sent = kept = 0
    try:
        _await_connection(link, settings)
        for letter in letters:
            payload = archive.letters.payload(letter.id)
            if not letter.is_complete or len(payload) != letter.size:
                kept += 1
                continue
            mid = link.publish(letter.topic, payload, content_type=EVENT_CONTENT_TYPE)
            reason = _await_answer(link, mid)
            if reason >= FAILURE or reason == NO_MATCHING_SUBSCRIBERS:
                raise UnavailableError(
                    f"the broker did not forward {letter.id} (reason {reason:#x}); is a hub subscribed?"
                )
            archive.letters.remove(letter.id)
            sent += 1
    finally:
        link.stop()
    return sent, kept


def _await_connection(link: MqttSession, settings: HubSettings) -> None:
    try:
        while True:
            match link.signals.get(timeout=ANSWER_WITHIN_S):
                case Connected():
                    return
                case Disconnected(reason=reason):
                    raise UnavailableError(f"broker {settings.mqtt.host}:{settings.mqtt.port}: {reason}")
                case _:
                    pass
    except queue.Empty:
        raise UnavailableError(f"broker {settings.mqtt.host}:{settings.mqtt.port} did not answer") from None


def _await_answer(link: MqttSession, mid: int) -> int:
    try:
        while True:
            match link.signals.get(timeout=ANSWER_WITHIN_S):
                case Acknowledged(mid=answered, reason=reason) if answered == mid:
                    return reason
                case Disconnected(reason=why):
                    raise UnavailableError(f"the broker closed the connection: {why}")
                case _:
                    pass
    except queue.Empty:
        raise UnavailableError("the broker did not acknowledge the message") from None
