"""The file of users and API tokens: JSON, readable by its owner only, replaced as a whole by each change.

A running hub reads it again when it changes. The file gets the owner of its folder if root writes it, so that a hub
with a user of its own can read what root added.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hub.domain.accounts import Accounts
from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.paths import printable
from shared.text_files import read_text

log = logging.getLogger(__name__)

_OTHERS: Final = 0o007
_MODE: Final = 0o600


@dataclass
class AccountsDraft:
    """Accounts that are being changed; `AccountsFile.change` writes `accounts` at its end."""

    accounts: Accounts


class AccountsFile:
    """Reads and changes a file of users and API tokens.

    Args:
        path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._current = Accounts()

    def read(self) -> Accounts:
        """Return all users and tokens; none if the file does not exist.

        Raises:
            InvalidError: other users of the machine may read the file, or it is damaged.
            UnavailableError: the file cannot be read.
        """
        name = printable(self.path)
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            return Accounts()
        except OSError as error:
            raise UnavailableError(f"cannot read {name}: {error.strerror}") from error
        if mode & _OTHERS:
            raise InvalidError(f"all users of this machine may read {name}: chmod 600 it")
        try:
            return Accounts.model_validate(json.loads(read_text(self.path)))
        except (ValueError, ValidationError, RecursionError) as error:
            raise InvalidError(f"{name} is no file of users, or is damaged: {type(error).__name__}") from error

    def current(self) -> Accounts:
        """Return the accounts of the present file; the last valid ones, with a log entry, if it became unreadable."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._current = self.read()
            except EarwitnessError as error:
                log.error("users cannot be read, the hub keeps the previous ones", extra={"reason": str(error)})  # noqa: TRY400
        return self._current

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    @contextmanager
    def change(self) -> Iterator[AccountsDraft]:
        """Read the file, yield a draft, and write it; other changes wait meanwhile.

        Raises:
            InvalidError: see `read`.
            UnavailableError: the file cannot be read or written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise UnavailableError(f"cannot write {printable(self.path)}: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            draft = AccountsDraft(self.read())
            yield draft
            self._write(draft.accounts)
        except OSError as error:
            raise UnavailableError(f"cannot write {printable(self.path)}: {error.strerror}") from error
        finally:
            os.close(folder)

    def _write(self, accounts: Accounts) -> None:
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(accounts.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if os.getuid() == 0:
            owner = self.path.parent.stat()
            os.chown(partial, owner.st_uid, owner.st_gid)
        partial.replace(self.path)
