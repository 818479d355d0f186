"""`earwitness-hub dead-letters`: look at messages that could not be taken, send them again, or remove them."""

import queue
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from hub.archive import Archive
from hub.opening import open_archive
from hub.options import ConfigOption, JsonOption, SetOption, reported, settings_from
from hub.settings import HubSettings
from hub.stored import DeadLetter
from shared.command_line import to_json
from shared.errors import Invalid, Unavailable
from shared.messages import EVENT_CONTENT_TYPE
from shared.mqtt import FAILURE, NO_MATCHING_SUBSCRIBERS, Acknowledged, Connected, Disconnected, Link

ANSWER_WITHIN_S: Final = 15.0
_ALL: Final = 1_000_000

app = typer.Typer(no_args_is_help=True, help="Messages that could not be taken: list, re-inject, remove.")

IdsArgument = Annotated[list[str] | None, typer.Argument(help="ids as `list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="every dead letter")]


def as_json(letter: DeadLetter) -> dict[str, object]:
    """A dead letter for machines, without its payload."""
    return {
        "id": letter.id,
        "topic": letter.topic,
        "reason": letter.reason,
        "size": letter.size,
        "whole": letter.whole,
        "received_at": letter.received_at.isoformat(),
    }


@app.command("list")
@reported
def list_(
    config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False, limit: int = 100
) -> None:
    """Show the oldest dead letters with the reason.

    Example: earwitness-hub dead-letters list --limit 5
    """
    letters = open_archive(settings_from(config, override)).dead_letters(limit)
    if json_:
        typer.echo(to_json([as_json(letter) for letter in letters]))
        return
    table = Table("id", "received", "topic", "bytes", "reason")
    for letter in letters:
        received = letter.received_at.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(letter.id, received, letter.topic, str(letter.size), letter.reason)
    Console().print(table if letters else "no dead letters")


@app.command()
@reported
def reinject(
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Publish dead letters on their old topic again, and remove each once the broker has it.

    Use it after the cause is mended (a hub updated, a checkpoint added). What is still invalid comes back as a
    new dead letter. A payload of which only the head was kept cannot be sent again.

    Example: earwitness-hub dead-letters reinject --all
    """
    settings = settings_from(config, override)
    archive = open_archive(settings)
    chosen = _chosen(archive, ids or [], everything)
    sent = _publish(settings, archive, [letter for letter in chosen if letter.whole])
    kept = len(chosen) - sent
    typer.echo(to_json({"reinjected": sent, "kept": kept}) if json_ else f"{sent} re-injected, {kept} kept")


@app.command()
@reported
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
    archive = open_archive(settings_from(config, override))
    chosen = _chosen(archive, ids or [], everything)
    for letter in chosen:
        archive.unbury(letter.id)
    typer.echo(to_json({"removed": len(chosen)}) if json_ else f"{len(chosen)} removed")


def _chosen(archive: Archive, ids: list[str], everything: bool) -> list[DeadLetter]:
    letters = archive.dead_letters(_ALL)
    if everything == bool(ids):
        raise Invalid("name the dead letters, or give --all")
    if missing := set(ids) - {letter.id for letter in letters}:
        raise Invalid(f"no dead letters {sorted(missing)}")
    return letters if everything else [letter for letter in letters if letter.id in ids]


def _publish(settings: HubSettings, archive: Archive, letters: list[DeadLetter]) -> int:
    """Publish letters one after another; returns how many the broker passed on."""
    link = Link(settings.mqtt.for_a_moment(), f"earwitness-reinject-{settings.hub.name}")
    link.start()
    sent = 0
    try:
        _await_connection(link, settings)
        for letter in letters:
            mid = link.publish(letter.topic, letter.payload, content_type=EVENT_CONTENT_TYPE)
            reason = _await_answer(link, mid)
            if reason >= FAILURE or reason == NO_MATCHING_SUBSCRIBERS:
                raise Unavailable(
                    f"the broker did not pass {letter.id} on (reason {reason:#x}); is a hub subscribed?"
                )
            archive.unbury(letter.id)
            sent += 1
    finally:
        link.stop()
    return sent


def _await_connection(link: Link, settings: HubSettings) -> None:
    try:
        while True:
            match link.signals.get(timeout=ANSWER_WITHIN_S):
                case Connected():
                    return
                case Disconnected(reason=reason):
                    raise Unavailable(f"broker {settings.mqtt.host}:{settings.mqtt.port}: {reason}")
                case _:
                    pass
    except queue.Empty:
        raise Unavailable(f"broker {settings.mqtt.host}:{settings.mqtt.port} did not answer") from None


def _await_answer(link: Link, mid: int) -> int:
    try:
        while True:
            match link.signals.get(timeout=ANSWER_WITHIN_S):
                case Acknowledged(mid=answered, reason=reason) if answered == mid:
                    return reason
                case Disconnected(reason=why):
                    raise Unavailable(f"the broker went away: {why}")
                case _:
                    pass
    except queue.Empty:
        raise Unavailable("the broker did not acknowledge the message") from None
