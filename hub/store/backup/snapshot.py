"""Read all keys of a store as they are at one moment, while hubs write to it.

1. The store reports each key that is written to (`hub.store.backup.tracking`).
2. All keys are read once. Keys that were written to meanwhile are read again, in a few rounds, until few remain.
3. One transaction copies the remaining ones within the store (COPY). If the store reports no further key between the
   last round and the end of the transaction, all values that were read are those of the moment of the transaction.
   If it reports one, the transaction is repeated with that key, too.
4. The copies are read and removed. They expire, in case this process ends before that.

The store is blocked only for the transaction. Its memory must have room for the copies.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import redis

from hub.store import keys
from hub.store.backup.scope import ALL, is_left_out
from hub.store.backup.tracking import WriteTracker
from hub.store.backup.values import Row, in_batches, read_rows
from hub.store.client import meaning
from shared.errors import InvalidError, UnavailableError

_PAGE: Final = 1_000
_ROUNDS: Final = 8
_FEW: Final = 300
"""Written keys that the transaction may begin with."""
_ATTEMPTS: Final = 200
_COPIES_EXPIRE_S: Final = 3_600
_CHANGES: Final = keys.CHANGES.encode()

Progress = Callable[[int, int], None]
"""Called with (keys read, of how many keys about)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The moment of a snapshot.

    Attributes:
        position: of the stream of changes.
        keys: number of keys that the first reading found.
        rounds: how often keys that were written to were read again.
        attempts: transactions until no other key was written to.
    """

    position: str
    keys: int
    rounds: int
    attempts: int


def read_store(client: Any, write: Callable[[Row], None], progress: Progress) -> Snapshot:  # noqa: ANN401
    """Read all keys of a store as they are at one moment.

    Args:
        client: of the store.
        write: called with rows in their order; later rows of a key replace earlier ones.
        progress: called after each page.

    Raises:
        InvalidError: a restore into this store has not ended, or a key has a type that no hub writes.
        UnavailableError: the store does not answer, has no memory for copies, is written to without a pause, or data
            was erased meanwhile.
    """
    tracker = WriteTracker(client)
    try:
        return _Reading(client, tracker, write).run(progress)
    except redis.RedisError as error:
        raise meaning(error) from error
    finally:
        tracker.close()


class _Reading:
    def __init__(self, client: Any, tracker: WriteTracker, write: Callable[[Row], None]) -> None:  # noqa: ANN401
        self._redis = client
        self._tracker = tracker
        self._write = write
        self._written: set[bytes] = set()

    def run(self, progress: Progress) -> Snapshot:
        if self._redis.exists(keys.RESTORING):
            raise InvalidError("a restore into this store has not ended: repeat it with --replace first")
        found = self._read_all(progress)
        rounds = 0
        while len(self._written) > _FEW and rounds < _ROUNDS:
            again, self._written = self._written, set()
            self._read({key: key for key in again})
            self._drain()
            rounds += 1
        for attempt in range(1, _ATTEMPTS + 1):
            if (position := self._closed()) is not None:
                return Snapshot(position, found, rounds, attempt)
        raise UnavailableError(
            "the store is written to without a pause, so that no moment can be kept: make the backup when fewer"
            " events arrive"
        )

    def _read_all(self, progress: Progress) -> int:
        """Read every key once; return their number."""
        done, about = 0, int(self._redis.dbsize())
        for some in in_batches(self._redis.scan_iter(ALL, count=_PAGE), _PAGE):
            wanted = [key for key in some if not is_left_out(key)]
            self._read({key: key for key in wanted})
            self._drain()
            done += len(wanted)
            progress(done, about)
        return done

    def _closed(self) -> str | None:
        """Copy the written keys at one moment, and read the copies; None if other keys were written to."""
        copied = sorted(self._written | {_CHANGES})
        name = partial(keys.backup_copy, secrets.token_hex(6))
        copies = {key: name(str(number)).encode() for number, key in enumerate(copied)}
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                for key, copy in copies.items():
                    pipe.pexpiretime(key)
                    pipe.copy(key, copy)
                    pipe.expire(copy, _COPIES_EXPIRE_S)
                expires = dict(zip(copies, pipe.execute()[::3], strict=True))
            self._drain()
            if self._written - copies.keys():
                return None
            self._read(copies, expires)
            newest = self._redis.xinfo_stream(copies[_CHANGES]) if self._redis.exists(copies[_CHANGES]) else {}
        finally:
            self._redis.unlink(*copies.values())
        return bytes(newest.get("last-generated-id", b"0-0")).decode()

    def _read(self, sources: dict[bytes, bytes], expires: dict[bytes, int] | None = None) -> None:
        for row in read_rows(self._redis, sources, expires, without_entries=[_CHANGES]):
            self._write(row)

    def _drain(self) -> None:
        written = self._tracker.drain()
        if keys.ERASURES.encode() in written:
            raise UnavailableError("data was erased meanwhile, which this backup may hold: make it again")
        self._written |= written
