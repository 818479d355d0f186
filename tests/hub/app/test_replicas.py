"""Several hubs, one archive: they divide the events, find each other's, survive a death; snapshots; the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.store.events import EventStore
from tests.server_processes import (
    Broker,
    EdgeProcess,
    HubProcess,
    Mosquitto,
    QueryEngine,
    Store,
    eventually,
    write_embeddings,
)

pytestmark = pytest.mark.e2e

EACH = 60
INDEXED = "earwitness_hub_index_events"
ARCHIVED = "earwitness_hub_events_archived_total"


def play(folder: Path, port: int, name: str, count: int = EACH, speed: int = 400) -> EdgeProcess:
    return EdgeProcess(
        folder / name,
        port,
        "sensor.site=test",
        f"sensor.name={name}",
        "source.kind=embeddings",
        f"source.path={write_embeddings(folder / f'{name}.npz', count)}",
        f"source.speed={speed}",
        f"source.max_clips={count}",
    )


def hub(folder: Path, broker: Broker, store: Store, name: str, *settings: str) -> HubProcess:
    return HubProcess(
        folder / name, broker.port, store.url, f"hub.name={name}", "search.exclude_same_sensor_s=0", *settings
    )


@contextmanager
def replicas(folder: Path, broker: Broker, store: Store) -> Iterator[list[HubProcess]]:
    hubs = [hub(folder, broker, store, name) for name in ("one", "two")]
    try:
        for each in hubs:
            each.start()
        yield hubs
    finally:
        for each in hubs:
            each.stop()


def test_two_hubs_lose_double_and_overlook_no_event(tmp_path: Path, broker: Broker, store: Store) -> None:
    with replicas(tmp_path, broker, store) as hubs:
        edges = [play(tmp_path, broker.port, f"street-{n}") for n in range(3)]
        assert [edge.finish()["captured"] for edge in edges] == [EACH] * 3
        archive = EventStore(store.url)
        eventually(lambda: archive.count() == 3 * EACH, 60, "all is archived")
        eventually(lambda: [each.metric(INDEXED) for each in hubs] == [3 * EACH] * 2, 20, "both find everything")
        shares = [each.metric(ARCHIVED) for each in hubs]
        assert sum(shares) == 3 * EACH
        assert min(shares) > 0, "both took some"
        some = archive.events(limit=1)[0]
        answers = [each.get(f"/api/v1/events/{some.id}/similar?k=20") for each in hubs]
        assert answers[0] == answers[1]


def test_when_one_hub_dies_the_other_takes_over_and_nothing_is_lost(
    tmp_path: Path, mosquitto: Mosquitto, store: Store
) -> None:
    with replicas(tmp_path, mosquitto, store) as hubs:
        archive = EventStore(store.url)
        edges = [play(tmp_path, mosquitto.port, f"street-{n}", speed=100) for n in range(2)]
        eventually(lambda: archive.count() > EACH // 2, 60, "a quarter is archived")
        hubs[0].kill()
        hubs[0].start()
        captured = sum(edge.finish()["captured"] for edge in edges)
        eventually(lambda: archive.count() == captured, 60, "all is archived")
        assert captured == 2 * EACH
        eventually(lambda: [each.metric(INDEXED) for each in hubs] == [captured] * 2, 20, "both find everything")


def test_a_hub_starts_from_its_snapshot_and_catches_up(tmp_path: Path, mosquitto: Mosquitto, store: Store) -> None:
    keeping = hub(tmp_path, mosquitto, store, "one", f"search.snapshot_dir={tmp_path / 'snapshots'}")
    keeping.start()
    play(tmp_path, mosquitto.port, "before").finish()
    eventually(lambda: keeping.metric(INDEXED) == EACH, 30, "all is indexed")
    keeping.stop()
    assert list((tmp_path / "snapshots").rglob("chunk-*.safetensors"))
    other = hub(tmp_path, mosquitto, store, "two")
    other.start()
    play(tmp_path, mosquitto.port, "meanwhile").finish()
    eventually(lambda: other.metric(INDEXED) > EACH, 30, "the other hub knows the old and some of the new")
    other.stop()
    keeping.start()  # the broker kept its share of the new ones for it
    try:
        eventually(lambda: keeping.metric(INDEXED) == 2 * EACH, 30, "it knows the old and the new")
    finally:
        keeping.stop()


def test_hubs_search_in_the_query_engine(tmp_path: Path, broker: Broker) -> None:
    store = QueryEngine(tmp_path / "engine")
    store.start()
    hubs = [hub(tmp_path, broker, store, name, "search.backend=redis") for name in ("one", "two")]
    try:
        for each in hubs:
            each.start()
        play(tmp_path, broker.port, "street-1").finish()
        eventually(lambda: [each.metric(INDEXED) for each in hubs] == [EACH] * 2, 30, "both find everything")
        event = EventStore(store.url).events(limit=1)[0]
        found = [each.get(f"/api/v1/events/{event.id}/similar?k=5")["matches"] for each in hubs]
        assert found[0] == found[1]
        assert isinstance(found[0], list)
        assert len(found[0]) == 5
    finally:
        for each in hubs:
            each.stop()
        store.stop()
