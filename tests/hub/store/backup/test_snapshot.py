"""A snapshot holds all keys as they were at one moment, although clients write meanwhile."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from hub import deployment
from hub.domain.erasure import Erasure
from hub.runtime.embedded_servers import Servers
from hub.store import keys
from hub.store.backup import snapshot
from hub.store.backup.restoration import Restoration
from hub.store.backup.snapshot import Snapshot, read_store
from hub.store.backup.values import Row
from hub.store.erasure_scan import ErasureScan
from hub.store.rows import Rows
from shared.errors import InvalidError, UnavailableError
from tests.server_processes import Redis

pytestmark = pytest.mark.redis

NAMES = [keys.alert(str(number)) for number in range(1_500)]


@pytest.fixture
def client(embedded: Servers) -> Iterator[Any]:
    """A store with some thousand keys."""
    client: Any = redis.Redis.from_url(embedded.redis_url, protocol=2)
    client.flushdb()
    client.mset(dict.fromkeys(NAMES, 0))
    yield client
    client.flushdb()
    client.close()


def quiet(_done: int, _of: int) -> None:
    """Report no progress."""


def taken(client: Any, write: Any = lambda _row: None) -> tuple[dict[str, Any], Snapshot]:
    """The values in a snapshot; `write` sees each row before it counts."""
    values: dict[str, Any] = {}

    def add(row: Row) -> None:
        write(row)
        values.pop(row.key.decode(), None)
        if row.kind != "none":
            values[row.key.decode()] = row.value

    found = read_store(client, add, quiet)
    return values, found


def test_keys_that_are_written_together_while_they_are_read_are_equal(client: Any) -> None:
    stopping = threading.Event()

    def count_up() -> None:
        own = redis.Redis.from_url(f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0")
        number = 0
        while not stopping.is_set():
            number += 1
            with own.pipeline(transaction=True) as pipe:
                for name in (NAMES[0], NAMES[700], NAMES[-1]):
                    pipe.set(name, number)
                pipe.execute()

    writer = threading.Thread(target=count_up)
    writer.start()
    try:
        several = [taken(client)[0] for _ in range(5)]
    finally:
        stopping.set()
        writer.join()
    for values in several:
        assert len({values[name] for name in (NAMES[0], NAMES[700], NAMES[-1])}) == 1
        assert len(values) == len(NAMES)


def test_what_is_written_added_removed_or_expires_during_the_first_reading_is_read_again(client: Any) -> None:
    at: list[bytes] = []

    def disturb(row: Row) -> None:
        at.append(row.key)
        if len(at) == 1:
            client.mset({at[0].decode(): "changed", "ew:alert:new": "added", "other:key": "ignored"})
            client.delete(*(name for name in NAMES[:400] if name.encode() != at[0]))
            client.zadd(keys.LATE, {f"event {number}": number for number in range(9_000)})
            client.xadd(keys.CHANGES, {"added": "an event"}, id="9-1")

    values, found = taken(client, disturb)
    stored = {key.decode() for key in client.keys("ew:*")}
    assert values.keys() == stored
    assert (values[at[0].decode()], values["ew:alert:new"]) == (b"changed", b"added")
    assert (found.position, found.rounds) == ("9-1", 1)


def test_an_older_redis_reports_writes_too(debian_redis: Redis) -> None:
    client: Any = redis.Redis.from_url(debian_redis.url, protocol=2)
    client.flushdb()
    client.mset(dict.fromkeys(NAMES[:3], 0))
    values, _ = taken(client, lambda _row: client.mset(dict.fromkeys(NAMES[:3], "changed")))
    assert values == dict.fromkeys(NAMES[:3], b"changed")
    client.flushdb()
    client.close()


def test_no_copy_stays_and_passing_keys_and_logins_are_left_out(client: Any) -> None:
    for name in (keys.ASKED, keys.session("digest"), keys.vector("space", "network", "event"), keys.check("a", "b")):
        client.set(name, 1)
    client.zadd(keys.EVENTS, {"event": 1})
    client.zadd(keys.events_of("site/sensor"), {"event": 1})
    before = set(client.keys("*"))
    values, _ = taken(client)
    assert values.keys() == set(NAMES)
    assert set(client.keys("*")) == before


def test_an_erasure_meanwhile_and_a_restore_that_was_cut_short_are_refused(client: Any) -> None:
    with pytest.raises(UnavailableError, match="erased meanwhile"):
        taken(client, lambda _row: client.hset(keys.ERASURES, "site", "now"))
    client.set(keys.RESTORING, "2026-06-01")
    with pytest.raises(InvalidError, match="has not ended"):
        taken(client)


def test_a_store_that_other_keys_are_written_to_at_every_moment_is_reported(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_ATTEMPTS", 0)
    with pytest.raises(UnavailableError, match="written to without a pause"):
        taken(client)


def test_the_user_of_a_hub_in_a_deployment_may_do_all_of_it(client: Any) -> None:
    template = Path(deployment.__file__).parent / "templates" / "users.acl.j2"
    (rights,) = re.findall(r"^user hub on #\{\{ hub_hash \}\} (.*)$", template.read_text(), re.MULTILINE)
    port = client.connection_pool.connection_kwargs["port"]
    client.execute_command("ACL", "SETUSER", "hub", "on", "nopass", *rights.split())
    client.xadd(keys.AUDIT, {"who": "ines"})
    client.xgroup_create(keys.AUDIT, "readers", "0")
    own: Any = redis.Redis.from_url(f"redis://hub:any@127.0.0.1:{port}/0", protocol=2)
    try:
        rows: list[Row] = []
        read_store(own, rows.append, quiet)
        restoration = Restoration(own, Rows())
        restoration.begin(datetime.now(UTC))
        restoration.write(rows)
        restoration.index_events()
        restoration.end(2)
        counted = ErasureScan(own, Erasure("demo", "street-1").mentions()).run(remove=True)
    finally:
        own.close()
        client.execute_command("ACL", "DELUSER", "hub")
    assert (client.xlen(keys.AUDIT), len(client.keys(keys.alert("*"))), counted) == (1, len(NAMES), {})
