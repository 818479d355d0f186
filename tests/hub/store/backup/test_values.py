"""Keys of every type become rows and keys again, on another server too."""

import io
import time
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
import redis

from hub.runtime.embedded_servers import Servers
from hub.store.backup.values import Row, queue_row, read_rows, row_of
from shared.errors import InvalidError
from tests.server_processes import Redis

pytestmark = pytest.mark.redis

HOUR_MS = 3_600_000


def content(client: Any) -> dict[bytes, Any]:
    """All keys with type, expiry and value, read without the code under test."""
    found = {}
    for key in client.keys("*"):
        kind = client.type(key)
        value: Any = {
            b"string": lambda key=key: client.get(key),
            b"hash": lambda key=key: client.hgetall(key),
            b"set": lambda key=key: client.smembers(key),
            b"zset": lambda key=key: client.zrange(key, 0, -1, withscores=True),
            b"list": lambda key=key: client.lrange(key, 0, -1),
            b"stream": lambda key=key: stream(client, key),
        }[kind]()
        found[key] = (kind, client.pexpiretime(key), value)
    return found


def stream(client: Any, key: bytes) -> Any:
    state = client.xinfo_stream(key)
    groups = []
    for group in client.xinfo_groups(key):
        name = group["name"]
        pending = client.xpending_range(key, name, "-", "+", 10)
        owned = [(one["message_id"], one["consumer"], one["times_delivered"]) for one in pending]
        consumers = sorted(one["name"] for one in client.xinfo_consumers(key, name))
        groups.append((name, group["last-delivered-id"], group["entries-read"], consumers, owned))
    counts = (state["last-generated-id"], state["entries-added"], state["max-deleted-entry-id"])
    return client.xrange(key), counts, groups


@pytest.fixture(scope="module")
def clients(embedded: Servers, debian_redis: Redis) -> Iterator[tuple[Any, Any]]:
    """A Valkey with a key of each kind, and an empty Redis."""
    valkey: Any = redis.Redis.from_url(embedded.redis_url, protocol=2)
    older: Any = redis.Redis.from_url(debian_redis.url, protocol=2)
    valkey.flushdb()
    older.flushdb()
    valkey.set("text", b"\x00\xff")
    valkey.set("empty", b"")
    valkey.set("passing", b"1", pxat=round(time.time() * 1000) + HOUR_MS)
    valkey.hset("hash", mapping={b"\xfe": b"", b"b": b"2"})
    valkey.hset("large hash", mapping={f"field {number}": number for number in range(5_000)})
    valkey.sadd("set", b"a", b"\x80")
    valkey.zadd("times", {"a": 1_796_066_276_426, "b": 0.1, "c": float("-inf"), "d": -0.0})
    valkey.zadd("large times", {f"member {number}": number / 7 for number in range(5_000)})
    valkey.rpush("list", *range(1_500))
    for number in range(1_003):
        valkey.xadd("stream", {"number": number, b"\xff": b""}, id=f"5-{number + 1}")
    valkey.xgroup_create("stream", "workers", "0")
    valkey.xreadgroup("workers", "one", {"stream": ">"}, count=3)
    valkey.xclaim("stream", "workers", "two", 0, ["5-2"])
    valkey.xgroup_createconsumer("stream", "workers", "idle")
    valkey.xgroup_create("stream", "latest", "$")
    valkey.xdel("stream", "5-9", "5-1003")
    valkey.xadd("emptied", {"a": 1}, id="7-1")
    valkey.xdel("emptied", "7-1")
    valkey.xgroup_create("never filled", "workers", "0", mkstream=True)
    yield valkey, older
    valkey.flushdb()
    older.flushdb()


def through_cbor(rows: list[Row]) -> list[Row]:
    data = io.BytesIO(b"".join(cbor2.dumps(row) for row in rows))
    return [row_of(cbor2.load(data)) for _ in rows]


def test_keys_of_all_types_come_back_on_another_server(clients: tuple[Any, Any]) -> None:
    valkey, older = clients
    older.set("text", "replaced")
    older.rpush("hash", "of another type")
    rows = list(read_rows(valkey, {key: key for key in valkey.keys("*")}))
    pipe = older.pipeline(transaction=False)
    for row in through_cbor(rows):
        queue_row(pipe, row)
    pipe.execute()
    assert content(older) == content(valkey)


def test_large_keys_have_rows_of_bounded_size_and_the_first_replaces_the_key(clients: tuple[Any, Any]) -> None:
    rows = list(read_rows(clients[0], {b"large hash": b"large hash", b"stream": b"stream"}))
    assert max(len(row.value) for row in rows if row.kind in {"hash", "stream"}) <= 2_000
    assert [row.fresh for row in rows if row.key == b"large hash"][:2] == [True, False]
    assert [row.kind for row in rows if row.key == b"stream"] == ["stream", "stream", "stream-state"]


def test_a_key_that_is_gone_is_removed_and_an_expired_one_stays_away(clients: tuple[Any, Any]) -> None:
    older = clients[1]
    older.set("gone", 1)
    (row,) = read_rows(clients[0], {b"gone": b"gone"})
    assert row.kind == "none"
    pipe = older.pipeline(transaction=False)
    queue_row(pipe, row)
    queue_row(pipe, Row(b"expired", "string", True, 1_000, b"1"))
    pipe.execute()
    assert older.exists("gone", "expired") == 0


@pytest.mark.parametrize("values", [None, [], [b"key", "string", True, None], ["key", "string", True, None, b""]])
def test_what_is_no_row_is_refused(values: Any) -> None:
    with pytest.raises(InvalidError, match="holds a row that is none"):
        row_of(values)


def test_a_row_of_a_later_kind_is_refused(clients: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidError, match="unknown kind 'bloom'"):
        queue_row(clients[1].pipeline(), Row(b"key", "bloom", True, None, b""))
