"""Find, and remove, all keys and values of the store that name what is erased.

One scan serves three purposes: it counts before an erasure (dry run), it removes what the removal by the retention's
means leaves, and it proves afterwards that nothing is left.

1. A key whose name holds a name of what is erased is removed.
2. A member of a set or sorted set, a field of a hash, an element of a list, and an entry of a stream are removed.
   A JSON value stays without the items that name it (`Mentions.without`).
3. The stream of changes is emptied: every hub then compares its index with the archive.
4. The audit log keeps its entries, with `(erased)` in place of names, and those about erasures as they are.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import redis

from hub.domain.erasure import Mentions
from hub.store import keys
from hub.store.backup.scope import ALL
from hub.store.backup.values import Row, in_batches, read_rows
from hub.store.client import raises_unavailable

_PAGE: Final = 500
_EVENTS: Final = b"events"
"""Field of an outbox's entry with the ids of its alerts, as of `hub.notify.outbox`."""
_ALERT: Final = keys.alert("").encode()
_AUDIT: Final = keys.AUDIT.encode()
_CHANGES: Final = keys.CHANGES.encode()

Progress = Callable[[int, int], None]
"""Called with (keys read, of how many keys about)."""


class ErasureScan:
    """A scan of all keys; safe to repeat.

    Args:
        client: of the store.
        mentions: finds names of what is erased.
    """

    def __init__(self, client: Any, mentions: Mentions) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._mentions = mentions

    @raises_unavailable
    def run(self, *, remove: bool, progress: Progress = lambda *_: None) -> Counter[str]:
        """Count all keys and values with names, by kind, which is the first part of a key's name.

        Args:
            remove: whether to remove them, too.
            progress: called after each page.
        """
        found: Counter[str] = Counter()
        done, about = 0, int(self._redis.dbsize())
        for some in in_batches(self._redis.scan_iter(ALL, count=_PAGE), _PAGE):
            own = [key for key in some if self._mentions.found_in(key)]
            found.update(_kind(key) for key in own)
            if own and remove:
                self._redis.unlink(*own)
            others = set(some) - set(own)
            for row in read_rows(self._redis, {key: key for key in others}):
                if count := self._in_row(row, remove=remove):
                    found[_kind(row.key)] += count
            done += len(some)
            progress(done, about)
        return found

    def audit_entries(self) -> list[str]:
        """Return the entries of the audit log about erasures, which stay.

        Raises:
            UnavailableError: the store does not answer.
        """
        return [
            row.get(b"what", b"").decode(errors="replace")
            for _, row in self._entries(keys.AUDIT)
            if row.get(b"action") == b"erased" and self._mentions.found_in(row.get(b"what", b""))
        ]

    def _in_row(self, row: Row, *, remove: bool) -> int:
        """Return how many elements of a row have names; remove them."""
        match row.kind:
            case "string":
                return self._in_string(row, remove=remove)
            case "hash":
                return self._in_hash(row, remove=remove)
            case "set" | "list" | "zset":
                members = [one[0] if row.kind == "zset" else one for one in row.value]
                named = [one for one in members if self._mentions.found_in(one)]
                if named and remove:
                    self._remove_members(row, named)
                return len(named)
            case "stream":
                named_entries = [entry for entry, fields in row.value if self._in_entry(row.key, dict(fields))]
                if named_entries and remove:
                    self._remove_entries(row.key, named_entries)
                return len(named_entries)
        return 0

    def _in_string(self, row: Row, *, remove: bool) -> int:
        if not self._mentions.found_in(row.value):
            return 0
        kept = self._without(row.value)
        if row.key.startswith(_ALERT) and kept is not None and not json.loads(kept).get("matches"):
            kept = None  # an alert without a similar past event is none
        if remove and kept is not None:
            self._redis.set(row.key, kept, keepttl=True)
        elif remove:
            self._redis.unlink(row.key)
            if row.key.startswith(_ALERT):
                self._redis.zrem(keys.ALERTS, row.key.removeprefix(_ALERT))
        return 1

    def _in_hash(self, row: Row, *, remove: bool) -> int:
        named = [(name, value) for name, value in row.value if self._mentions.found_in(name + b"\0" + value)]
        for name, value in named if remove else ():
            kept = None if self._mentions.found_in(name) else self._without(value)
            if kept is None:
                self._redis.hdel(row.key, name)
            else:
                self._redis.hset(row.key, name, kept)
        return len(named)

    def _without(self, value: bytes) -> bytes | None:
        """Return a JSON value without names; None if nothing remains, or if it is no JSON object or list."""
        try:
            document = json.loads(value)
        except ValueError:
            return None
        kept = self._mentions.without(document) if isinstance(document, dict | list) else None
        return None if kept is None else json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()

    def _remove_members(self, row: Row, named: list[bytes]) -> None:
        for one in named:
            match row.kind:
                case "set":
                    self._redis.srem(row.key, one)
                case "list":
                    self._redis.lrem(row.key, 0, one)
                case _:
                    self._replace_member(row, one)

    def _replace_member(self, row: Row, member: bytes) -> None:
        """Remove a member of a sorted set; JSON stays without the names."""
        kept = self._without(member)
        if kept is not None:
            self._redis.zadd(row.key, {kept: dict(row.value)[member]})
        self._redis.zrem(row.key, member)

    def _in_entry(self, key: bytes, fields: dict[bytes, bytes]) -> bool:
        if key == _AUDIT and fields.get(b"action") == b"erased":
            return False
        return any(self._mentions.found_in(name + b"\0" + value) for name, value in fields.items())

    def _remove_entries(self, key: bytes, entries: list[bytes]) -> None:
        if key == _CHANGES:
            self._redis.xtrim(key, maxlen=0, approximate=False)
        elif key == _AUDIT:
            self._redact_audit()
        else:
            for entry in entries:
                self._replace_entry(key, entry)

    def _replace_entry(self, key: bytes, entry: bytes) -> None:
        """Remove an entry; a message of an outbox about other alerts, too, is put again without the erased ones."""
        for _, fields in self._redis.xrange(key, entry, entry):
            alerts = fields.get(_EVENTS, b"").split()
            kept = [one for one in alerts if not self._mentions.found_in(one)]
            if kept:
                texts = {name: self._mentions.redacted(value) for name, value in fields.items()}
                self._redis.xadd(key, texts | {_EVENTS: b" ".join(kept)})
        self._redis.xdel(key, entry)

    def _redact_audit(self) -> None:
        """Write the audit log again, with the same ids, unless an entry was added meanwhile: then once more."""
        copy = keys.backup_copy("audit", "0")
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(keys.AUDIT)
                    rows = list(self._entries(keys.AUDIT))
                    pipe.multi()
                    pipe.delete(copy)
                    for entry, fields in rows:
                        kept = fields.get(b"action") == b"erased"
                        texts = {name: self._mentions.redacted(value) for name, value in fields.items()}
                        pipe.xadd(copy, fields if kept else texts, id=entry)
                    pipe.rename(copy, keys.AUDIT)
                    pipe.execute()
                except redis.WatchError:
                    continue
                return

    @raises_unavailable
    def _entries(self, key: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        after = "-"
        while rows := self._redis.xrange(key, after, count=_PAGE):
            yield from rows
            after = f"({rows[-1][0].decode()}"


def _kind(key: bytes) -> str:
    return key.removeprefix(keys.EVERY.encode()).partition(b":")[0].decode(errors="replace")
