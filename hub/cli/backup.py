"""`earwitness-hub backup` and `restore`: everything that a hub keeps, in one file."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.app.backup import BackupContents, restore_backup, verify_backup, write_backup
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from shared.command_line import to_json
from shared.paths import printable

_EVERY_S: Final = 2.0

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="the backup")]


class ProgressLines:
    """Prints how far a long command is, on standard error, at most every two seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY_S

    def __call__(self, what: str, done: int, of: int) -> None:
        """Print that `done` of `of` keys, files or bytes are done; `of` is 0 if it is not known."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            sys.stderr.write(f"{done:,} of about {of:,} {what}\n" if of else f"{done:,} {what}\n")


@handles_errors
def backup(
    file: FileArgument,
    verify: Annotated[bool, typer.Option("--verify", help="read the file again and compare all checksums")] = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write a backup of everything into one file, while hubs run: all data in Redis, sound, users and API tokens.

    The file is as of one moment. It holds sound and password hashes; only its owner may read it. It does not hold the
    hub's settings, certificates and checkpoints.

    Example: earwitness-hub backup /var/backups/earwitness-2026-06-01.tar --verify
    """
    settings = load_hub_settings(config, override)
    contents = write_backup(settings, file, ProgressLines())
    if verify:
        verify_backup(file, ProgressLines())
    if json_:
        typer.echo(to_json({"file": str(file), "bytes": file.stat().st_size, "verified": verify, **asdict(contents)}))
    else:
        typer.echo(f"{printable(file)}: {_described(contents)}{', verified' if verify else ''}")


@handles_errors
def restore(
    file: FileArgument,
    verify: Annotated[bool, typer.Option("--verify", help="check the file only, and write nothing")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="remove the data of a store and of a file of users that are not empty")
    ] = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Restore a backup into the store, folder of sound and file of users of the settings.

    Stop all hubs of the store before. Nothing is written if the file is damaged, of a newer schema, or has no place
    for something. Redis and Valkey of any version from 7.0 on take the backup of any other.

    Example: earwitness-hub restore /var/backups/earwitness-2026-06-01.tar --set redis.url=redis://other:6379/0
    """
    if verify:
        header, contents = verify_backup(file, ProgressLines())
        if json_:
            typer.echo(to_json({"file": str(file), **header, **asdict(contents)}))
        else:
            typer.echo(f"{printable(file)} of {header.get('made_at')} is complete: {_described(contents)}")
        return
    done = restore_backup(load_hub_settings(config, override), file, replace=replace, progress=ProgressLines())
    if json_:
        typer.echo(
            to_json({"file": str(file), "made_at": done.made_at, "events": done.events, **asdict(done.contents)})
        )
    else:
        typer.echo(f"restored the backup of {done.made_at}: {done.events} events, {_described(done.contents)}")


def _described(contents: BackupContents) -> str:
    return f"{contents.keys} keys, {contents.sound_files} files of sound, {contents.users} users"
