"""The hub's commands for sealed sound: `sealed create-key` and `sealed open`.

They run on the computer of the person who may listen. Neither needs a hub, a broker or a store.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import JsonOption, handles_errors
from hub.deployment.inspector_key import (
    InspectorKey,
    create_key_pair,
    is_named_otherwise,
    needs_passphrase,
    write_sound,
)
from shared.command_line import to_json
from shared.errors import EarwitnessError, InvalidError
from shared.paths import expanded, printable

app = typer.Typer(
    no_args_is_help=True,
    help="Keys for sealed sound, which sensors encrypt (`privacy.sealed_to`), and opening it without a hub.",
)


@app.command("create-key")
@handles_errors
def create_key(
    out: Annotated[Path, typer.Option(help="file to create for the private key", show_default=False)],
    json_: JsonOption = False,
) -> None:
    """Create a key pair: sensors seal sound to the public key, and only the private key opens it.

    Run it on the computer of the person who may listen. The private key must never be on a sensor or on the hub.
    The sound cannot be opened without it: keep a copy in another place. `age-keygen` creates the same keys, and `age
    --passphrase` protects the file.

    Example: earwitness-hub sealed create-key --out inspector.key
    """
    path = expanded(out)
    public = create_key_pair(path, datetime.now(UTC))
    if json_:
        typer.echo(to_json({"private_key_file": str(path), "public_key": public}))
        return
    typer.echo(f"Wrote the private key to {printable(path)}. Its public key:\n\n{public}\n")
    typer.echo(
        "1. Set the public key on each sensor, in edge.toml:\n\n"
        f'[privacy]\nsealed_to = "{public}"\n\n'
        "2. Keep the private key off sensors and hubs. The sound cannot be opened without it: keep a copy in another"
        " place."
    )


@app.command("open")
@handles_errors
def open_(
    files: Annotated[list[Path], typer.Argument(help="sealed files (.age)", show_default=False)],
    key: Annotated[Path, typer.Option(help="file of the private key", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="folder for the FLAC files; beside each file if not given", show_default=False)
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Decrypt sealed sound to FLAC files, on the computer with the private key.

    The command reports each file, goes on after one that it cannot open, and then exits with 1. `age --decrypt
    --identity inspector.key FILE` does the same for one file.

    Example: earwitness-hub sealed open demo.street-1.3f2a.17.age --key inspector.key
    """
    key = expanded(key)
    locked = needs_passphrase(key)
    private = InspectorKey(key, typer.prompt("Passphrase", hide_input=True, err=True) if locked else None)
    results = [_open(private, expanded(path), out, quiet=json_) for path in files]
    if json_:
        typer.echo(to_json({"files": results}))
    if any("error" in result for result in results):
        raise typer.Exit(1)


def _open(private: InspectorKey, path: Path, out: Path | None, *, quiet: bool) -> dict[str, str]:
    """Open one file, and report it; return the report."""
    try:
        opened = private.open(path)
        if is_named_otherwise(path, opened.event):
            raise InvalidError(f"{printable(path)} has the sound of another event: {opened.event or 'unknown'}")
        target = (expanded(out) if out else path.parent) / f"{opened.event or path.stem}.flac"
        write_sound(target, opened.flac)
    except EarwitnessError as error:
        typer.echo(f"earwitness-hub: {error}", err=True)
        return {"file": str(path), "error": str(error)}
    if not quiet:
        at = f", recorded at {printable(opened.captured_at)} by the sensor's clock" if opened.captured_at else ""
        typer.echo(f"{printable(target)}: event {opened.event or 'unknown'}{at}")
    return {"file": str(path), "flac": str(target), "event": opened.event, "captured_at": opened.captured_at}
