"""`earwitness-hub tokens`: access of programs to the API and the metrics."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors
from hub.cli.users import FileOption, RoleOption, accounts_file
from hub.domain.accounts import NAME_FORM
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError

app = typer.Typer(
    no_args_is_help=True,
    help="API tokens of programs, which send `Authorization: Bearer TOKEN`: add, list, revoke. A token has a role, as"
    " a user has, and expires.",
)


@app.command()
@handles_errors
def add(
    name: Annotated[str, typer.Argument(help="name of the program", metavar="NAME")],
    role: RoleOption,
    days: Annotated[float, typer.Option(min=0.01, max=3_650, help="days until the token expires")] = 365.0,
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a token and print it, once: the file has only its digest.

    Example: earwitness-hub tokens add prometheus --role viewer --config hub.toml > hub.token
    """
    from hub.runtime.passwords import make_token

    if not re.fullmatch(NAME_FORM, name):
        raise InvalidError(f"token name {name!r}: write lower-case letters, digits and . _ @ -, at most 63")
    target = accounts_file(file, config, override)
    now = datetime.now(UTC)
    text, kept = make_token(name, role, now, now + timedelta(days=days))
    with target.change() as draft:
        draft.accounts = draft.accounts.with_token(kept)
    if json_:
        typer.echo(to_json({"token": text, **kept.model_dump(mode="json", exclude={"digest"})}))
        return
    typer.echo(text)
    typer.echo(f"token {name} ({role}) expires on {kept.expires_at:%Y-%m-%d}; it is not shown again", err=True)


@app.command("list")
@handles_errors
def list_(
    file: FileOption = None, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Show all tokens, without their texts.

    Example: earwitness-hub tokens list --config hub.toml
    """
    tokens, now = accounts_file(file, config, override).read().tokens, datetime.now(UTC)
    if json_:
        documents = [
            {**token.model_dump(mode="json", exclude={"digest"}), "expired": not token.is_valid(now)}
            for token in tokens
        ]
        typer.echo(to_json(documents))
        return
    table = Table("name", "id", "role", "added", "expires")
    for token in tokens:
        end = f"{token.expires_at:%Y-%m-%d %H:%M}" + ("" if token.is_valid(now) else " (expired)")
        table.add_row(token.name, token.id, token.role, f"{token.added_at:%Y-%m-%d %H:%M}", end)
    plain_console().print(table if tokens else "no tokens yet")


@app.command()
@handles_errors
def revoke(
    name: Annotated[str, typer.Argument(help="name or id of the token", metavar="NAME")],
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Revoke a token; the hub refuses it at once.

    Example: earwitness-hub tokens revoke prometheus --config hub.toml
    """
    target = accounts_file(file, config, override)
    with target.change() as draft:
        draft.accounts = draft.accounts.without_token(name)
    typer.echo(to_json({"revoked": name}) if json_ else f"token {name} revoked ({target.path})")
