"""Users and API tokens of hubs in tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from hub.domain.accounts import ROLES, Role, User
from hub.runtime.passwords import hash_password, make_token
from hub.store.accounts_file import AccountsFile

PASSWORD: Final = "correct horse battery"  # noqa: S105 - of users in tests


def add_user(file: AccountsFile, name: str, role: Role, password: str = PASSWORD) -> None:
    """Add a user."""
    user = User(name=name, role=role, password_hash=hash_password(password), added_at=datetime.now(UTC))
    with file.change() as draft:
        draft.accounts = draft.accounts.with_user(user)


def add_token(file: AccountsFile, name: str, role: Role, lasts: timedelta = timedelta(days=1)) -> str:
    """Add an API token; return its text."""
    now = datetime.now(UTC)
    text, kept = make_token(name, role, now, now + lasts)
    with file.change() as draft:
        draft.accounts = draft.accounts.with_token(kept)
    return text


def accounts(path: Path) -> dict[Role, str]:
    """Write a file with a user `ines`, an inspector, and a token of each role; return the tokens."""
    file = AccountsFile(path)
    add_user(file, "ines", "inspector")
    return {role: add_token(file, role, role) for role in ROLES}


def bearer(token: str) -> dict[str, str]:
    """Return the header that sends a token."""
    return {"Authorization": f"Bearer {token}"}
