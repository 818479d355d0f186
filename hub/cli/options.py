"""Options that the hub's commands share, and their error handling."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from hub.settings import HubSettings
from shared.errors import EarwitnessError, InvalidError
from shared.settings import load_settings

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with the hub's settings", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="one setting, as group.field=value; may be repeated",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for machines")]

P = ParamSpec("P")
R = TypeVar("R")


def load_hub_settings(config: Path | None, override: list[str] | None) -> HubSettings:
    """Return the hub's settings from file, environment and flags.

    Raises:
        InvalidError: a setting that is unknown or out of range.
    """
    return load_settings(HubSettings, config, override or [])


def handles_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Print one line for an `EarwitnessError` and exit: with 2 for invalid input, with 1 for other errors."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EarwitnessError as error:
            typer.echo(f"earwitness-hub: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, InvalidError) else 1) from error

    return run
