"""Options that the commands of `earwitness-edge` share, and the end of a command that failed."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge.settings import EdgeSettings
from shared.errors import InvalidError
from shared.settings import load_settings

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with one table per group.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="GROUP.FIELD=VALUE",
        help="Override one setting; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def read_settings(config: Path | None, overrides: list[str] | None) -> EdgeSettings:
    """Return the settings; end the program with 2 if they are invalid."""
    try:
        return load_settings(EdgeSettings, config, overrides or [])
    except InvalidError as error:
        fail(str(error), 2)


def fail(message: str, code: int) -> NoReturn:
    """Print an error and end the program with an exit code."""
    typer.echo(f"earwitness-edge: {message}", err=True)
    sys.exit(code)
