"""`earwitness-hub users`: who may log in on the page, and with which role."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.domain.accounts import PASSWORD_MIN, Role, User
from hub.store.accounts_file import AccountsFile
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.paths import expanded

app = typer.Typer(
    no_args_is_help=True,
    help="Users who log in on the page: add, list, remove, change role or password. A viewer sees pages; an inspector"
    " also plays sound, exports and submits verdicts; an operator also names sounds and commands sensors; an admin"
    " also reads the audit log.",
)

FileOption = Annotated[
    Path | None, typer.Option("--file", help="file of users; `web.users_file` if not given", show_default=False)
]
UserArgument = Annotated[str, typer.Argument(help="name of the user", metavar="NAME")]
RoleOption = Annotated[Role, typer.Option(help="viewer, inspector, operator or admin", show_default=False)]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="read the password from standard input instead of a prompt")
]


def accounts_file(file: Path | None, config: Path | None, override: list[str] | None) -> AccountsFile:
    """Return the file of users and tokens.

    Raises:
        InvalidError: neither `--file` nor `web.users_file` names it.
    """
    path = file or load_hub_settings(config, override).web.users_file
    if path is None:
        raise InvalidError(
            'web.users_file is not set: set it in hub.toml ([web] users_file = "/var/lib/earwitness-hub/users.json"),'
            " and give --config; or give --file"
        )
    return AccountsFile(expanded(path))


@app.command()
@handles_errors
def add(
    name: UserArgument,
    role: RoleOption,
    password_stdin: StdinOption = False,
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Add a user. The command asks for the password twice; a running hub accepts the user at once.

    Example: earwitness-hub users add ines --role inspector --config /etc/earwitness/hub.toml
    """
    from hub.runtime.passwords import hash_password

    target = accounts_file(file, config, override)
    now = datetime.now(UTC)
    target.read().with_user(User.model_construct(name=name, role=role, password_hash="", added_at=now))
    hashed = hash_password(_password(from_stdin=password_stdin))
    with target.change() as draft:
        draft.accounts = draft.accounts.with_user(
            User.model_construct(name=name, role=role, password_hash=hashed, added_at=now)
        )
    _report(target, name, f"user {name} added as {role}", json_=json_)


@app.command("list")
@handles_errors
def list_(
    file: FileOption = None, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Show all users with their roles.

    Example: earwitness-hub users list --config /etc/earwitness/hub.toml
    """
    users = accounts_file(file, config, override).read().users
    if json_:
        typer.echo(to_json([user.model_dump(mode="json", exclude={"password_hash"}) for user in users]))
        return
    table = Table("name", "role", "added")
    for user in users:
        table.add_row(user.name, user.role, f"{user.added_at:%Y-%m-%d %H:%M}")
    plain_console().print(table if users else "no users yet")


@app.command()
@handles_errors
def remove(
    name: UserArgument,
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Remove a user; the sessions of the user end at once.

    Example: earwitness-hub users remove ines --config /etc/earwitness/hub.toml
    """
    target = accounts_file(file, config, override)
    with target.change() as draft:
        draft.accounts = draft.accounts.without_user(name)
    _report(target, name, f"user {name} removed", json_=json_)


@app.command("set-role")
@handles_errors
def set_role(
    name: UserArgument,
    role: RoleOption,
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Change the role of a user, also of one who is logged in.

    Example: earwitness-hub users set-role ines --role operator --config /etc/earwitness/hub.toml
    """
    target = accounts_file(file, config, override)
    with target.change() as draft:
        user = draft.accounts.existing_user(name)
        draft.accounts = draft.accounts.with_changed_user(user.model_copy(update={"role": role}))
    _report(target, name, f"user {name} is now {role}", json_=json_)


@app.command("set-password")
@handles_errors
def set_password(
    name: UserArgument,
    password_stdin: StdinOption = False,
    file: FileOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Change the password of a user; the sessions of the user end at once.

    Example: earwitness-hub users set-password ines --config /etc/earwitness/hub.toml
    """
    from hub.runtime.passwords import hash_password

    target = accounts_file(file, config, override)
    target.read().existing_user(name)
    hashed = hash_password(_password(from_stdin=password_stdin))
    with target.change() as draft:
        user = draft.accounts.existing_user(name)
        draft.accounts = draft.accounts.with_changed_user(user.model_copy(update={"password_hash": hashed}))
    _report(target, name, f"password of {name} changed", json_=json_)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(
        typer.prompt(
            f"Password (at least {PASSWORD_MIN} characters)", hide_input=True, confirmation_prompt=True, err=True
        )
    )


def _report(file: AccountsFile, name: str, text: str, *, json_: bool) -> None:
    if json_:
        user = file.read().user(name)
        document = {"name": name, "role": None if user is None else user.role, "file": str(file.path)}
        typer.echo(to_json(document))
    else:
        typer.echo(f"{text} ({file.path})")
