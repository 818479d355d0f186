"""Fitness of a store for the archive: tried before a hub trusts it.

Every command that the hub uses is sent once, on keys of its own that are removed again: so rights that are missing, a
server that is too old, a replica and a cluster are found whatever they are called.
"""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import redis
from redis import exceptions as fault

from hub.store import keys
from hub.store.client import CLUSTER, REPLICA, UnfitStoreError, meaning
from shared.errors import InvalidError

_TESTED: Final = (7, 0)
"""The oldest Redis that the tests ran with."""
_SCRIPT: Final = """
redis.call('HSET', KEYS[1], 'a', ARGV[1])
redis.call('ZADD', KEYS[2], 1, ARGV[1])
redis.call('XADD', KEYS[3], '*', 'a', ARGV[1])
return redis.call('HEXISTS', KEYS[1], 'a')
"""
_FULL: Final = "oom"
_SYNC_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Fitness:
    """Findings about a store that can be used.

    Attributes:
        name: `Redis 7.0.15`, `Valkey 9.1.2`.
        doubts: what works now, and is not as it should be.
    """

    name: str
    doubts: tuple[str, ...] = ()


class StoreReport(NamedTuple):
    """What a store holds, and whether it takes writes.

    Attributes:
        events: number of archived events.
        dead_letters: number of stored dead letters.
        refusal: why the store refuses writes and what to do; "" if it takes them.
    """

    events: int
    dead_letters: int
    refusal: str = ""


def store_name(server: Mapping[str, Any]) -> str:
    """Return name and version of a store from its answer to `INFO server`."""
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis {server.get('redis_version', 'of an unknown version')}"


def examine_store(client: Any, *, durable: bool = False) -> Fitness:  # noqa: ANN401 - the client is untyped
    """Try whether a store can keep the archive.

    Args:
        client: of the store.
        durable: whether every event must be on its disk before it is acknowledged.

    Raises:
        InvalidError: its configuration forbids it; the text names the remedy.
        UnavailableError: it does not answer now.
    """
    try:
        return _examined(client, durable)
    except redis.RedisError as error:
        reason = meaning(error)
        raise (InvalidError(str(reason)) if isinstance(reason, UnfitStoreError) else reason) from error


def _examined(client: Any, durable: bool) -> Fitness:  # noqa: ANN401
    server, memory = client.info("server"), client.info("memory")
    if server.get("redis_mode") == "cluster":
        raise InvalidError(f"the store: {CLUSTER}")
    if client.info("replication").get("role") == "slave":
        raise InvalidError(f"the store: {REPLICA}")
    policy = str(memory.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        raise InvalidError(
            f"the store would throw events away: its maxmemory-policy is {policy!r}. "
            "Set `maxmemory-policy noeviction` in its configuration; the hub does its own retention."
        )
    doubts = []
    if not _tried(client):
        doubts.append("its memory is full: raise `maxmemory`, or lower store.retention_days")
    kept = bool(client.info("persistence").get("aof_enabled", 0))
    if durable:
        _check_durable(client, kept=kept)
    version = str(server.get("valkey_version") or server.get("redis_version", "0"))
    name = store_name(server)
    if "valkey_version" not in server and _numbers(version) < _TESTED:
        doubts.append(f"{name} is older than Redis {_TESTED[0]}.{_TESTED[1]}, the oldest that is tested: upgrade it")
    return Fitness(name, tuple(doubts))


def _tried(client: Any) -> bool:  # noqa: ANN401
    """Send what the hub sends, on keys of its own; whether the store had memory for it.

    Raises:
        redis.RedisError: the first refusal that is not for want of memory.
    """
    own = partial(keys.check, uuid.uuid4().hex[:12])
    row, index, stream, names = (own(name) for name in ("row", "index", "stream", "names"))
    transaction = client.pipeline(transaction=True)
    transaction.set(own("text"), 1, ex=60)
    transaction.mget([own("text")])
    transaction.incrby(own("number"), 2)
    pipe = client.pipeline(transaction=False)
    pipe.hset(row, "b", 1).hsetnx(row, "b", 1).hincrby(row, "b", 1).hmget(row, ["a", "b"]).hgetall(row)
    pipe.hget(row, "a").hvals(row).hdel(row, "b").setbit(own("bits"), 3, 1)
    pipe.setrange(own("bits"), 1, "a").getrange(own("bits"), 0, 1)
    pipe.sadd(names, "a").smembers(names).srem(names, "a")
    pipe.zadd(index, {"b": 2}).zcard(index).zcount(index, 0, 1).zmscore(index, ["b"]).zrange(index, 0, 1)
    pipe.zrangebyscore(index, 0, 1).zrevrange(index, 0, 1).zrevrangebyscore(index, 1, 0).zincrby(index, 1, "b")
    pipe.zrem(index, "b").zremrangebyscore(index, 5, 6).zremrangebyrank(index, 9, 9)
    pipe.xadd(stream, {"b": 1}).xlen(stream).xrange(stream, count=1).xrevrange(stream, count=1).xread({stream: "0"})
    pipe.xgroup_create(stream, "check", "0").xreadgroup("check", "me", {stream: ">"}, count=1)
    pipe.xautoclaim(stream, "check", "me", 1_000, count=1).xpending(stream, "check").xack(stream, "check", "0-1")
    pipe.xclaim(stream, "check", "me", 1_000, ["0-1"]).xdel(stream, "0-1").exists(row).time()
    used = [row, index, stream, names, *(own(name) for name in ("text", "number", "bits"))]
    problems: list[redis.RedisError] = []
    try:
        client.script_load(_SCRIPT)
        client.eval(_SCRIPT, 3, row, index, stream, "1")
        transaction.execute()
    except redis.RedisError as error:
        problems.append(error)
    problems += [answer for answer in pipe.execute(raise_on_error=False) if isinstance(answer, redis.RedisError)]
    with suppress(redis.RedisError):  # whatever hinders this hindered something before
        client.delete(*used)
    other = [one for one in problems if not _for_want_of_memory(one)]
    if other:
        raise next((one for one in other if isinstance(meaning(one), UnfitStoreError)), other[0])
    return not problems


def _for_want_of_memory(error: Exception) -> bool:
    """Return whether a full store refuses: at once, in a transaction, or because what comes before was refused."""
    text = str(error).lower()
    consequence = "no such key" in text or "nogroup" in text
    return isinstance(error, fault.OutOfMemoryError | fault.ExecAbortError) or _FULL in text or consequence


def _check_durable(client: Any, *, kept: bool) -> None:  # noqa: ANN401
    """Check that the store can confirm what is on its disk.

    Raises:
        InvalidError: it cannot.
    """
    if not kept:
        raise InvalidError('the store: redis.durable = "local" needs its append-only file: set `appendonly yes`')
    try:
        client.execute_command("WAITAOF", 0, 0, 1)
    except fault.ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        raise InvalidError(
            'the store: redis.durable = "local" needs WAITAOF, which Redis has from 7.2 on, and Valkey: upgrade, or'
            ' set redis.durable = "no"'
        ) from error


def wait_for_disk(client: Any, key: str, timeout_ms: int = _SYNC_MS) -> bool:  # noqa: ANN401
    """Wait until all that was written before is on the store's disk; return whether it is.

    WAITAOF speaks of what its own connection wrote, so a small write goes before it.
    Source: Redis, WAITAOF.

    Args:
        client: of the store.
        key: written to.
        timeout_ms: longest wait, less than the client's patience.
    """
    pipe = client.pipeline(transaction=False)
    pipe.set(key, 1)
    pipe.execute_command("WAITAOF", 1, 0, timeout_ms)
    _, (local, _replicas) = pipe.execute()
    return int(local) >= 1


def _numbers(version: str) -> tuple[int, int]:
    first, _, rest = version.partition(".")
    second = rest.partition(".")[0]
    return (int(first) if first.isdigit() else 0, int(second) if second.isdigit() else 0)
