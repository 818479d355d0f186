"""Stores that cannot keep the archive, or not now: what `check`, a start and `healthz` report of each."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from hub.app.factory import build_event_store
from hub.diagnostics import run_checks
from hub.settings import HubSettings
from hub.store.events import EventStore
from shared.errors import InvalidError, UnavailableError
from shared.settings import load_settings
from tests.server_processes import Broker, EdgeProcess, HubProcess, Redis, Store, Valkey, eventually, write_embeddings
from tests.stores import ClusterNode, TlsRedis, ask, rewriting, silent

pytestmark = pytest.mark.e2e

DUPLICATES = "earwitness_hub_events_duplicate_total"
RIGHTS = {
    "too few": ["+get", "+ping"],
    "no scripts": ["+@all", "-@scripting"],
    "reading alone": ["+@read", "+info", "+time"],
    "no streams": ["+@all", "-xautoclaim"],
    "no transactions": ["+@all", "-@transaction"],
}


def of_store(url: str, *more: str) -> tuple[bool, str, tuple[str, ...]]:
    (finding,) = run_checks(load_settings(HubSettings, None, [f"redis.url={url}", *more]), only={"store"})
    return finding.ok, finding.text, finding.doubts


def refused_at_start(folder: Path, broker: Broker, url: str, *more: str) -> str:
    """Output of a hub that ends because of its store."""
    code, log = HubProcess(folder / "hub", broker.port, url, *more).ended()
    assert code == 2
    assert "Traceback" not in log
    return log


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterNode]:
    node = ClusterNode(tmp_path / "cluster")
    node.start()
    node.serve_all()
    yield node
    node.stop()


def test_a_store_in_cluster_mode_is_refused(tmp_path: Path, broker: Broker, cluster: ClusterNode) -> None:
    ok, text, _ = of_store(cluster.url)
    assert not ok
    assert "a server with cluster mode disabled" in text
    assert "cluster mode disabled" in refused_at_start(tmp_path, broker, cluster.url)


def test_a_key_that_moved_is_reported_in_words(tmp_path: Path, cluster: ClusterNode) -> None:
    other = ClusterNode(tmp_path / "other")
    other.start()
    try:
        other.meet(cluster)
        client = redis.Redis.from_url(other.url, protocol=2)
        eventually(lambda: "MOVED" in _refusal(client), 30, "it knows whose slots are whose")
        for node in (other, cluster):
            ok, text, _ = of_store(node.url)
            assert not ok
            assert "cluster mode disabled" in text
    finally:
        other.stop()


def _refusal(client: redis.Redis) -> str:
    try:
        client.get("ew:events")
    except redis.exceptions.MovedError:
        return "MOVED"
    except redis.RedisError as error:
        return str(error)
    return ""


def test_a_replica_is_refused_and_one_that_became_one_is_reported(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    replica = Valkey(tmp_path / "replica", "--replicaof", "127.0.0.1", str(store.port))
    replica.start()
    hub = HubProcess(tmp_path / "hub", broker.port, store.url)
    try:
        ok, text, _ = of_store(replica.url)
        assert not ok
        assert "give the address of its primary" in text
        assert "read-only replica" in refused_at_start(tmp_path / "refused", broker, replica.url)
        hub.start()
        redis.Redis.from_url(store.url, protocol=2).replicaof("127.0.0.1", replica.port)
        eventually(lambda: "read-only replica" in " ".join(health(hub)[1]), 30, "healthz states why")
        redis.Redis.from_url(store.url, protocol=2).replicaof("NO", "ONE")
        eventually(hub.ready, 30, "a failover is over")
    finally:
        hub.stop()
        replica.stop()


def health(hub: HubProcess) -> tuple[int, list[str], float]:
    """Status and problems that `healthz` reports, and how long that took."""
    began_s = time.monotonic()
    try:
        reported, code = hub.get("/healthz"), 200
    except urllib.error.HTTPError as error:
        reported, code = json.load(error), error.code
    problems = reported["reasons"]
    assert isinstance(problems, list)
    return code, problems, time.monotonic() - began_s


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS)
def test_a_user_that_lacks_rights_is_refused_whatever_is_missing(store: Store, rights: list[str]) -> None:
    ask(store.url, "ACL", "SETUSER", "hub", "on", ">pw", "~*", "&*", *rights)
    ok, text, _ = of_store(store.url.replace("redis://", "redis://hub:pw@"))
    assert not ok
    assert "lacks rights: users.acl" in text
    assert ask(store.url, "KEYS", "*") == []


def test_a_user_without_rights_ends_a_start(tmp_path: Path, broker: Broker, store: Store) -> None:
    ask(store.url, "ACL", "SETUSER", "hub", "on", ">hidden", "~*", "&*", "+@all", "-@scripting")
    log = refused_at_start(tmp_path, broker, store.url.replace("redis://", "redis://hub:hidden@"))
    assert "lacks rights: users.acl" in log
    assert "hidden" not in log


@pytest.mark.parametrize("password", ["a#b", "a/b", "a?b", "a@b", "a:b", "a%zz", "a%2Fb"])
def test_a_password_that_is_not_encoded_gets_a_hint_and_is_not_shown(store: Store, password: str) -> None:
    ask(store.url, "ACL", "SETUSER", "hub", "on", f">{password}", "~*", "&*", "+@all")
    coded = "".join(one if one.isalnum() else f"%{ord(one):02X}" for one in password)
    url = f"redis://hub:{{}}@127.0.0.1:{store.port}/0"
    assert of_store(url.format(coded))[0]
    reported: list[str] = []
    try:
        ok, text, _ = of_store(url.format(password))
        reported += [] if ok else [text]
    except InvalidError as error:
        reported.append(str(error))
    for words in reported:
        assert "percent-encoding" in words
        assert password not in words
    assert reported or password in {"a@b", "a:b", "a%zz"}  # which redis-py understands all the same


def test_a_full_store_is_reported_with_what_to_do(store: Store) -> None:
    archive = build_event_store(load_settings(HubSettings, None, [f"redis.url={store.url}"]))
    client = redis.Redis.from_url(store.url, protocol=2)
    client.config_set("maxmemory", "1")
    fitness = archive.verify()
    assert "memory is full" in fitness.doubts[0]
    report = archive.report()
    assert (report.events, report.dead_letters) == (0, 0)
    assert "its memory is full: raise `maxmemory`" in report.refusal
    client.config_set("maxmemory", 0)
    assert archive.report().refusal == ""
    archive.close()


def test_an_old_redis_is_reported_by_its_version(debian_redis: Redis) -> None:
    with rewriting(debian_redis.port, rb"redis_version:7", b"redis_version:6") as port:
        ok, _, doubts = of_store(f"redis://127.0.0.1:{port}/0")
        assert ok
        assert "older than Redis 7.0" in " ".join(doubts)
    with rewriting(debian_redis.port, rb"\$-1\r\n", b"$-1\r\n") as port:
        assert "older" not in " ".join(of_store(f"redis://127.0.0.1:{port}/0")[2])


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsRedis]:
    server = TlsRedis(tmp_path / "tls")
    server.start()
    yield server
    server.stop()


def test_a_store_behind_tls_needs_its_authority(tls: TlsRedis, tmp_path: Path) -> None:
    ok, text, _ = of_store(tls.url, f"redis.ca_file={tls.ca}")
    assert ok, text
    ok, text, _ = of_store(tls.url)
    assert not ok
    assert "set redis.ca_file" in text
    ok, text, _ = of_store(tls.url.replace("rediss://", "redis://"))
    assert not ok
    assert "rediss:// in redis.url" in text
    ok, text, _ = of_store(tls.url, f"redis.ca_file={tmp_path / 'none'}")
    assert not ok
    assert "redis.ca_file" in text
    with pytest.raises(InvalidError, match="ca_file needs rediss"):
        load_settings(HubSettings, None, [f"redis.ca_file={tls.ca}"])


@contextlib.contextmanager
def _silent_url() -> Iterator[str]:
    with silent() as port:
        yield f"redis://127.0.0.1:{port}/0"


UNANSWERED: dict[str, Callable[[Store], contextlib.AbstractContextManager[str]]] = {
    "rediss:// to a plain port": lambda store: contextlib.nullcontext(store.url.replace("redis://", "rediss://")),
    "a port that never answers": lambda _: _silent_url(),
}


@pytest.mark.parametrize("url_of", UNANSWERED.values(), ids=UNANSWERED)
def test_healthz_answers_though_the_store_does_not(
    tmp_path: Path, broker: Broker, store: Store, url_of: Callable[[Store], contextlib.AbstractContextManager[str]]
) -> None:
    with url_of(store) as url:
        ok, text, _ = of_store(url, "redis.timeout_s=1")
        assert not ok
        assert "rediss://" in text
        hub = HubProcess(tmp_path / "hub", broker.port, url, "redis.timeout_s=1")
        hub.launch()
        try:
            eventually(lambda: _answers(hub), 60, "it listens")
            for _ in range(3):
                code, problems, _took_s = health(hub)
                assert code == 503
                assert any("store" in one for one in problems)
            eventually(lambda: "rediss://" in (hub.folder / "log").read_text(), 30, "the log states what to do")
        finally:
            hub.stop()


def _answers(hub: HubProcess) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{hub.port}/static/page.js", timeout=30).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("durable", "again"), [("local", 8), ("no", 0)])
def test_what_must_be_durable_is_acknowledged_once_it_is_on_the_disk(
    tmp_path: Path, mosquitto: Broker, store: Store, durable: str, again: int
) -> None:
    client = redis.Redis.from_url(store.url, protocol=2)
    archive = EventStore(store.url)
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url, f"redis.durable={durable}")
    hub.start()
    client.config_set("appendfsync", "no")  # the disk never has it, as far as the store knows
    source = ("source.kind=embeddings", f"source.path={write_embeddings(tmp_path / 'e.npz', 8)}", "source.speed=200")
    assert EdgeProcess(tmp_path / "edge", mosquitto.port, *source).finish()["published"] == 8
    eventually(lambda: archive.count() == 8, 30, "all are archived")
    hub.kill()
    client.config_set("appendfsync", "everysec")
    hub.start()
    eventually(lambda: hub.metric(DUPLICATES) == again, 30, "what was not acknowledged comes again")
    hub.stop()
    hub.start()
    eventually(lambda: hub.metric("earwitness_hub_last_heartbeat_timestamp_seconds") > 0, 60, "the intake works")
    assert hub.metric(DUPLICATES) == 0
    hub.stop()
    archive.close()


def test_a_disk_that_is_not_written_is_waited_for(store: Store) -> None:
    client, archive = redis.Redis.from_url(store.url, protocol=2), EventStore(store.url, timeout_s=0.5)
    archive.wait_for_disk()
    client.config_set("appendfsync", "no")
    with pytest.raises(UnavailableError, match="look at that disk, and at `appendfsync`"):
        archive.wait_for_disk()
    archive.close()


def test_durability_that_a_store_does_not_have_is_refused(
    tmp_path: Path, broker: Broker, store: Store, debian_redis: Redis
) -> None:
    assert of_store(store.url, "redis.durable=local")[0]
    ok, text, _ = of_store(debian_redis.url, "redis.durable=local")
    assert not ok
    assert "set `appendonly yes`" in text
    redis.Redis.from_url(store.url, protocol=2).config_set("appendonly", "no")
    assert "set `appendonly yes`" in refused_at_start(tmp_path, broker, store.url, "redis.durable=local")


def test_durability_needs_a_redis_that_reports_what_is_on_its_disk(tmp_path: Path) -> None:
    old = Redis(tmp_path / "old", "--appendonly", "yes")
    old.start()
    try:
        ok, text, _ = of_store(old.url, "redis.durable=local")
        assert not ok
        assert "Redis has from 7.2 on" in text
    finally:
        old.stop()
