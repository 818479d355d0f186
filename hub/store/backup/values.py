"""Keys of any type as rows of plain values, in pieces of bounded size, and back.

A row is one piece of a key. The first piece of a key is `fresh`: it replaces whatever the key held. So rows are
applied in their order, and the last rows of a key count. A stream's entries come before its state, which has its last
id, and its consumer groups with pending entries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import redis

from shared.errors import InvalidError

_PIECE: Final = 1_000
"""Elements of a row."""
_AT_ONCE: Final = 4_000
"""Elements of a key that are read by one command; larger keys are read piece by piece."""
_KEYS: Final = 500
"""Keys that are read in one round trip."""
_SIZE: Final = {b"hash": "hlen", b"set": "scard", b"zset": "zcard"}
_CREATED: Final = "restored"

T = TypeVar("T")


class Row(NamedTuple):
    """A piece of a key.

    Attributes:
        key: its name.
        kind: `string`, `hash`, `set`, `zset`, `list`, `stream` (entries), `stream-state`; `none`: the key is gone.
        fresh: whether this is the first piece.
        expires_ms: when the key expires, ms since 1970 UTC; None if never.
        value: of a string its bytes; of a hash, sorted set or stream pairs; of a set or list elements; of
            `stream-state` a mapping; of a key that is gone None.
    """

    key: bytes
    kind: str
    fresh: bool
    expires_ms: int | None
    value: Any


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of at most `size`."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def read_rows(
    client: Any,  # noqa: ANN401 - the client is untyped
    sources: Mapping[bytes, bytes],
    expires: Mapping[bytes, int] | None = None,
    without_entries: Iterable[bytes] = (),
) -> Iterator[Row]:
    """Yield the rows of some keys; a key that does not exist has one row of kind `none`.

    Args:
        client: of the store.
        sources: names of keys, each with the key that is read in its place.
        expires: when keys expire, as PEXPIRETIME states it; by default that of the key that is read.
        without_entries: streams of which only the state is read.

    Raises:
        InvalidError: a key of a type that a backup does not know.
        redis.RedisError: the store failed.
    """
    bare = frozenset(without_entries)
    for some in in_batches(sources.items(), _KEYS):
        pipe = client.pipeline(transaction=False)
        for _, source in some:
            pipe.type(source)
            pipe.pexpiretime(source)
        answers = pipe.execute()
        kinds = dict(zip(some, answers[::2], strict=True))
        until = {name: (expires or {}).get(name, at) for (name, _), at in zip(some, answers[1::2], strict=True)}
        whole = _read_whole(client, kinds)
        for (name, source), kind in kinds.items():
            if kind == b"stream":
                pieces = _stream(client, source, entries=name not in bare)
            elif source in whole:
                pieces = _pieces(kind.decode(), whole[source])
            else:
                pieces = _piecewise(client, name, source, kind)
            fresh = True
            for kind_, value in pieces:
                yield Row(name, kind_, fresh, until[name] if until[name] > 0 else None, value)
                fresh = False
            if fresh:
                yield Row(name, "none", True, None, None)


def _read_whole(client: Any, kinds: Mapping[tuple[bytes, bytes], bytes]) -> dict[bytes, Any]:  # noqa: ANN401
    """Return the values of all keys that are read by one command; one of another type by now is missing."""
    sized = [(source, kind) for (_, source), kind in kinds.items() if kind in _SIZE]
    pipe = client.pipeline(transaction=False)
    for source, kind in sized:
        getattr(pipe, _SIZE[kind])(source)
    sizes = pipe.execute(raise_on_error=False)
    small = {one: kind for (one, kind), n in zip(sized, sizes, strict=True) if isinstance(n, int) and n <= _AT_ONCE}
    small |= {source: kind for (_, source), kind in kinds.items() if kind == b"string"}
    pipe = client.pipeline(transaction=False)
    for source, kind in small.items():
        match kind:
            case b"string":
                pipe.get(source)
            case b"hash":
                pipe.hgetall(source)
            case b"set":
                pipe.smembers(source)
            case _:
                pipe.zrange(source, 0, -1, withscores=True)
    found = pipe.execute(raise_on_error=False)
    return {source: value for source, value in zip(small, found, strict=True) if not isinstance(value, Exception)}


def _pieces(kind: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if kind == "string":
        yield from [] if value is None else [(kind, value)]
        return
    elements = sorted(value.items()) if isinstance(value, dict) else sorted(value)
    for some in in_batches(elements, _PIECE):
        yield kind, [list(one) if isinstance(one, tuple) else one for one in some]


def _piecewise(client: Any, name: bytes, source: bytes, kind: bytes) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the pieces of a large key; an element may come twice, which changes nothing."""
    match kind:
        case b"none":
            return
        case b"hash":
            found: Iterable[Any] = client.hscan_iter(source, count=_PIECE)
        case b"set":
            found = client.sscan_iter(source, count=_PIECE)
        case b"zset":
            found = client.zscan_iter(source, count=_PIECE)
        case b"list":
            found = client.lrange(source, 0, -1)
        case _:
            raise InvalidError(
                f"the key {name.decode(errors='replace')} has the type {kind.decode(errors='replace')}, which no hub"
                " writes: remove it, or move it out of this database"
            )
    try:
        for some in in_batches(found, _PIECE):
            yield kind.decode(), [list(one) if isinstance(one, tuple) else one for one in some]
    except redis.ResponseError as error:
        if "WRONGTYPE" not in str(error):  # else it changed its type, and is read again
            raise


def _stream(client: Any, source: bytes, *, entries: bool) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    after = "-"
    while entries and (found := client.xrange(source, after, count=_PIECE)):
        yield "stream", [[entry, list(map(list, fields.items()))] for entry, fields in found]
        after = f"({found[-1][0].decode()}"
    try:
        state = client.xinfo_stream(source)
        groups = client.xinfo_groups(source)
    except redis.ResponseError:  # it is gone, or of another type: it is read again
        return
    yield (
        "stream-state",
        {
            "last": state["last-generated-id"],
            "added": state["entries-added"],
            "deleted": state["max-deleted-entry-id"],
            "groups": [_group(client, source, one) for one in groups],
        },
    )


def _group(client: Any, source: bytes, group: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    name, pending, after = group["name"], [], "-"
    while found := client.xpending_range(source, name, after, "+", _PIECE):
        pending += [
            [one["message_id"], one["consumer"], one["time_since_delivered"], one["times_delivered"]] for one in found
        ]
        after = f"({found[-1]['message_id'].decode()}"
    consumers = [one["name"] for one in client.xinfo_consumers(source, name)]
    delivered = {"last": group["last-delivered-id"], "read": group["entries-read"]}
    return {"name": name, **delivered, "consumers": consumers, "pending": pending}


def queue_row(pipe: Any, row: Row) -> None:  # noqa: ANN401 - the client is untyped
    """Queue the commands that write a row.

    Raises:
        InvalidError: a row of a kind that this program does not know.
    """
    if row.kind not in _WRITERS:
        raise InvalidError(f"the backup holds a row of the unknown kind {row.kind!r}: take a newer earwitness-hub")
    if row.fresh:
        pipe.unlink(row.key)
    _WRITERS[row.kind](pipe, row.key, row.value)
    if row.expires_ms is not None:
        pipe.pexpireat(row.key, row.expires_ms)


def _queue_entries(pipe: Any, key: bytes, entries: Sequence[Any]) -> None:  # noqa: ANN401
    for entry, fields in entries:
        pipe.xadd(key, dict(fields), id=entry)


def _queue_stream_state(pipe: Any, key: bytes, state: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Queue what makes a stream's last id, counts and groups; a stream without entries is made by a passing group.

    Source: Redis, XSETID, XGROUP CREATE, XCLAIM.
    """
    pipe.xgroup_create(key, _CREATED, "0-0", mkstream=True)
    pipe.xgroup_destroy(key, _CREATED)
    counts = ("ENTRIESADDED", state["added"], "MAXDELETEDID", state["deleted"])
    pipe.execute_command("XSETID", key, state["last"], *counts)
    for group in state["groups"]:
        name = group["name"]
        pipe.xgroup_create(key, name, group["last"], entries_read=group["read"])
        for consumer in group["consumers"]:
            pipe.xgroup_createconsumer(key, name, consumer)
        for entry, consumer, idle_ms, deliveries in group["pending"]:
            pipe.xclaim(
                *(key, name, consumer, 0, [entry]), idle=idle_ms, retrycount=deliveries, force=True, justid=True
            )


_WRITERS: Final[Mapping[str, Callable[[Any, bytes, Any], object]]] = {
    "none": lambda _pipe, _key, _value: None,
    "string": lambda pipe, key, value: pipe.set(key, value),
    "hash": lambda pipe, key, value: pipe.hset(key, mapping=dict(value)),
    "set": lambda pipe, key, value: pipe.sadd(key, *value),
    "zset": lambda pipe, key, value: pipe.zadd(key, dict(value)),
    "list": lambda pipe, key, value: pipe.rpush(key, *value),
    "stream": _queue_entries,
    "stream-state": _queue_stream_state,
}


def row_of(sequence: Sequence[Any]) -> Row:
    """Return a row from its values as a file has them.

    Raises:
        InvalidError: these are no row.
    """
    match sequence:
        case [bytes() as key, str() as kind, bool() as fresh, int() | None as expires_ms, value]:
            return Row(key, kind, fresh, expires_ms, value)
    raise InvalidError("the backup holds a row that is none: it is of another program")
