"""The hub's first seconds: what it refuses, and how it reports that."""

import urllib.error
from pathlib import Path

import pytest

from tests.server_processes import Broker, HubProcess, Store, Valkey, accepts, eventually

pytestmark = pytest.mark.e2e


def test_a_web_address_that_is_taken_ends_the_hub_with_one_clear_line(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    taken = HubProcess(tmp_path, broker.port, store.url, f"web.port={broker.port}")
    code, words = taken.ended()
    assert code == 1
    assert f"web.port {broker.port}" in words
    assert "Traceback" not in words


def test_a_store_that_evicts_is_refused_at_the_start(tmp_path: Path, broker: Broker) -> None:
    store = Valkey(tmp_path / "evicting", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    store.start()
    try:
        code, words = HubProcess(tmp_path, broker.port, store.url).ended()
    finally:
        store.stop()
    assert code == 2
    assert "noeviction" in words
    assert "Traceback" not in words


def test_a_hub_that_waits_for_its_store_reports_it_and_begins_once_it_is_there(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    store.kill()
    hub = HubProcess(tmp_path / "hub", broker.port, store.url)
    hub.launch()
    try:
        eventually(lambda: accepts(hub.port), 60, "it answers")
        assert hub.metric("earwitness_store_up") == 0
        assert not hub.ready()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            hub.get("/api/v1/alerts")
        store.start()
        eventually(hub.ready, 60, "it has begun")
        eventually(lambda: hub.metric("earwitness_store_up") == 1, 30, "and reports it")
    finally:
        hub.stop()
