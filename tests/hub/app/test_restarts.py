"""Servers and programs that die or freeze in mid-stream lose nothing, and nothing is archived twice.

Most tests need Mosquitto: rumqttd forgets sessions at a restart, does not report that no client has subscribed
(reason code 0x10), and may end when a hub leaves its shared subscription.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.store.events import EventStore
from shared.events import EventId
from tests.server_processes import Broker, EdgeProcess, HubProcess, Mosquitto, Store, eventually, write_embeddings

pytestmark = pytest.mark.faults

EACH = 100
SENSORS = 2


@contextmanager
def running(folder: Path, broker: Broker, store: Store) -> Iterator[HubProcess]:
    process = HubProcess(folder / "hub", broker.port, store.url, "redis.timeout_s=1")
    process.start()
    try:
        yield process
    finally:
        process.stop()


def play(folder: Path, port: int, sensor: str, *settings: str, count: int = EACH) -> EdgeProcess:
    data = write_embeddings(folder / f"{sensor}.npz", count)
    return EdgeProcess(
        folder / sensor,
        port,
        f"sensor.name={sensor}",
        "source.kind=embeddings",
        f"source.path={data}",
        "source.speed=200",
        *settings,
    )


def through_a_fault(
    folder: Path, port: int, redis_url: str, fault: Callable[[], object], settings: tuple[str, ...] = ()
) -> None:
    """Play both sensors, strike after a third is archived, and check that all arrives exactly once."""
    archive = EventStore(redis_url)
    edges = [play(folder, port, f"street-{n}", *settings) for n in range(SENSORS)]
    eventually(lambda: archive.count() > SENSORS * EACH // 3, 120, "a third is archived")
    assert archive.count() < SENSORS * EACH, "the fault must strike in mid-stream"
    fault()
    captured = sum(edge.finish()["captured"] for edge in edges)
    assert captured == SENSORS * EACH
    eventually(lambda: archive.count() == captured, 120, f"{captured} events are archived")
    assert archive.letters.count() == 0
    assert sum(sensor.events for sensor in archive.sensors.all()) == captured
    assert {EventId.parse(event).seq for page in archive.ids() for event in page} == set(range(EACH))
    archive.close()


@pytest.mark.parametrize("persistent", [True, False])
def test_a_broker_killed_and_restarted_loses_nothing(tmp_path: Path, store: Store, persistent: bool) -> None:
    broker = Mosquitto(tmp_path / "broker", persistent=persistent)
    broker.start()

    def fault() -> None:
        broker.kill()
        broker.start()

    try:
        with running(tmp_path, broker, store) as hub:
            through_a_fault(tmp_path, broker.port, store.url, fault)
            assert hub.ready()
    finally:
        broker.stop()


def test_a_broker_killed_before_it_wrote_what_it_acknowledged_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, store: Store
) -> None:
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url)
    edge = play(tmp_path, mosquitto.port, "street-1")
    hub.start()
    archive = EventStore(store.url)
    try:
        eventually(lambda: archive.count() > 0, 30, "events come")
        hub.stop()
        mosquitto.stop()  # sessions are on disk from now on
        mosquitto.start()
        eventually(lambda: "source ended" in edge.log.read_text(), 60, "the rest is captured while no hub is there")
        mosquitto.kill()
        mosquitto.start()
        hub.start()
        assert edge.finish()["captured"] == EACH
        eventually(lambda: archive.count() == EACH, 60, f"{EACH} events are archived")
    finally:
        hub.stop()


def test_a_hub_killed_and_restarted_loses_nothing_and_archives_nothing_twice(
    tmp_path: Path, mosquitto: Mosquitto, store: Store
) -> None:
    with running(tmp_path, mosquitto, store) as hub:

        def fault() -> None:
            hub.kill()
            hub.start()

        through_a_fault(tmp_path, mosquitto.port, store.url, fault)


def test_a_hub_that_is_away_for_longer_than_the_broker_can_keep_its_events_loses_nothing(
    tmp_path: Path, store: Store
) -> None:
    broker = Mosquitto(tmp_path / "broker", queue=100)
    broker.start()
    hub = HubProcess(tmp_path / "hub", broker.port, store.url)
    hub.start()

    def fault() -> None:
        hub.kill()
        logs = [tmp_path / f"street-{n}" / "log" for n in range(SENSORS)]
        eventually(lambda: all("source ended" in log.read_text() for log in logs), 60, "all is captured")
        hub.start()

    try:
        # Slow enough that the hub, when it dies, is behind by less than the broker can keep.
        settings = ("spool.hold_after_s=0", "source.speed=100")
        through_a_fault(tmp_path, broker.port, store.url, fault, settings)
    finally:
        hub.stop()
        broker.stop()


def test_a_store_that_hangs_stops_the_hub_from_taking_and_loses_nothing(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    with running(tmp_path, broker, store) as hub:

        def fault() -> None:
            before = hub.metric("earwitness_hub_store_retries_total")
            store.freeze()
            eventually(lambda: hub.metric("earwitness_hub_store_retries_total") >= before + 2, 30, "the hub waits")
            store.thaw()

        through_a_fault(tmp_path, broker.port, store.url, fault)


def test_a_sensor_killed_and_restarted_delivers_what_it_had_spooled(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    broker.kill()
    first = play(tmp_path, broker.port, "street-1", count=40)
    eventually(lambda: "source ended" in first.log.read_text(), 60, "all clips are spooled")
    first.kill()
    broker.start()
    hub = HubProcess(tmp_path / "hub", broker.port, store.url)
    hub.start()
    try:
        second = play(tmp_path, broker.port, "street-1", count=10)
        second.finish()
        archive = EventStore(store.url)
        eventually(lambda: archive.count() == 50, 60, "both runs' events are archived")
    finally:
        hub.stop()


def test_clips_that_no_hub_is_subscribed_to_wait_in_the_spool(
    tmp_path: Path, mosquitto: Mosquitto, store: Store
) -> None:
    edge = play(tmp_path, mosquitto.port, "street-1", count=20)
    eventually((tmp_path / "street-1" / "spool.db").exists, 30, "the sensor runs")
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url)
    hub.start()
    try:
        assert edge.finish()["captured"] == 20
        archive = EventStore(store.url)
        eventually(lambda: archive.count() == 20, 60, "what was sent without a receiver is archived after all")
    finally:
        hub.stop()


def test_a_small_hub_that_is_overrun_pauses_and_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, store: Store
) -> None:
    hub = HubProcess(tmp_path / "small", mosquitto.port, store.url, "ingest.max_in_flight=2", "hub.name=small")
    hub.start()
    try:
        through_a_fault(tmp_path, mosquitto.port, store.url, hub.ready)
    finally:
        hub.stop()
