import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.domain.accounts import Accounts, User
from hub.store.accounts_file import AccountsFile
from shared.errors import InvalidError, UnavailableError

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def user(name: str) -> User:
    return User(name=name, role="viewer", password_hash="$argon2id", added_at=NOW)  # noqa: S106


def added(file: AccountsFile, name: str) -> None:
    with file.change() as draft:
        draft.accounts = draft.accounts.with_user(user(name))


def test_a_file_is_made_for_its_owner_only_and_holds_what_was_written(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "folder" / "users.json")
    assert file.read() == Accounts()
    added(file, "ada")
    added(file, "ines")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in AccountsFile(file.path).read().users] == ["ada", "ines"]
    assert [one.name for one in file.path.parent.iterdir()] == ["users.json"]


def test_changes_at_the_same_time_lose_no_user(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    threads = [threading.Thread(target=added, args=(AccountsFile(path), f"user-{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(AccountsFile(path).read().users) == 8


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "users.json")
    added(file, "ada")
    before = file.path.read_bytes()
    with pytest.raises(InvalidError, match="exists"):
        added(file, "ada")
    assert file.path.read_bytes() == before


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "users.json")
    added(file, "ada")
    file.path.chmod(0o644)
    with pytest.raises(InvalidError, match="chmod 600"):
        file.read()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"users": [{"name": "A"}]}', "[" * 100_000])
def test_a_damaged_file_is_refused_and_a_running_hub_keeps_the_users_before_it(tmp_path: Path, text: str) -> None:
    file = AccountsFile(tmp_path / "users.json")
    added(file, "ada")
    assert file.current().user("ada")
    file.path.write_text(text)
    with pytest.raises(InvalidError, match=r"users\.json"):
        file.read()
    assert file.current().user("ada")


def test_a_running_hub_follows_the_file(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "users.json")
    assert not file.current().users
    added(file, "ada")
    assert file.current().user("ada")
    file.path.unlink()
    assert not file.current().users


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot write"):
        added(AccountsFile(tmp_path / "file" / "users.json"), "ada")
