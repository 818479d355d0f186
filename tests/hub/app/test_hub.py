"""One event, all the way: sensors, broker, hub, store, API, alerts.

Through the broker and the store of the wheels, and through those of deployments: Debian's Mosquitto and Redis.
"""

import queue
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.messages.alert import AlertMessage
from shared.messages.codec import decode_json
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_ALERTS
from tests.server_processes import (
    Broker,
    EdgeProcess,
    HubProcess,
    Mosquitto,
    Redis,
    Rumqttd,
    Store,
    Valkey,
    eventually,
    write_embeddings,
)

pytestmark = pytest.mark.e2e

EACH = 30


@pytest.fixture(scope="module", params=["wheels", "debian"])
def of(request: pytest.FixtureRequest) -> str:
    """Where broker and store come from."""
    return str(request.param)


@pytest.fixture(scope="module")
def folder(of: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(of)


@pytest.fixture(scope="module")
def broker(of: str, folder: Path) -> Iterator[Broker]:
    server = Rumqttd(folder / "broker") if of == "wheels" else Mosquitto(folder / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def store(of: str, folder: Path) -> Iterator[Store]:
    server = Valkey(folder / "store") if of == "wheels" else Redis(folder / "store")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def alerts(broker: Broker) -> Iterator[MqttSession]:
    link = MqttSession(broker.settings, "alert-listener")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    link.subscribe(ALL_ALERTS)
    yield link
    link.stop()


@pytest.fixture(scope="module")
def hub(folder: Path, broker: Broker, store: Store, alerts: MqttSession) -> Iterator[HubProcess]:
    """A hub that has taken three sensors' events: one of sound, two of embeddings."""
    assert alerts.connected
    process = HubProcess(
        folder / "hub",
        broker.port,
        store.url,
        f"store.audio_dir={folder / 'clips'}",
        "search.exclude_same_sensor_s=1",
        "alerts.default_threshold=0",
        "alerts.min_shared_probability=0.2",
    )
    process.start()
    data = write_embeddings(folder / "embeddings.npz", 2 * EACH)
    common = ("sensor.site=test", "source.speed=100", f"source.max_clips={EACH}")
    edges = [EdgeProcess(folder / "sound", broker.port, *common, "sensor.name=sound", "source.kind=synthetic")]
    edges += [
        EdgeProcess(
            folder / f"numbers-{shard}",
            broker.port,
            *common,
            f"sensor.name=numbers-{shard}",
            "source.kind=embeddings",
            f"source.path={data}",
            f"source.shard_index={shard}",
            "source.shard_count=2",
        )
        for shard in range(2)
    ]
    assert [edge.finish()["captured"] for edge in edges] == [EACH] * 3
    eventually(lambda: process.metric("earwitness_hub_events_archived_total") == 3 * EACH, 60, "all is archived")
    yield process
    process.stop()


def events(hub: HubProcess, query: str = "limit=500") -> list[dict[str, object]]:
    found = hub.get(f"/api/v1/events?{query}")["events"]
    assert isinstance(found, list)
    return found


def test_every_event_is_archived_once(hub: HubProcess) -> None:
    ids = [event["id"] for event in events(hub)]
    assert len(ids) == len(set(ids)) == 3 * EACH
    assert hub.metric("earwitness_hub_events_duplicate_total") == 0
    assert hub.metric("earwitness_hub_messages_dead_lettered_total") == 0


def test_sound_and_embeddings_live_in_their_own_feature_spaces(hub: HubProcess) -> None:
    spaces = {(str(event["sensor"])[:5], event["space"]) for event in events(hub)}
    assert spaces == {("sound", "earwitness-small-u8/1"), ("numbe", "vggish-pca-u8/1")}


def test_the_levels_of_every_second_of_sound_are_there_once(hub: HubProcess) -> None:
    def seconds() -> int:
        found = hub.get("/api/v1/levels?place=test/sound")["seconds"]
        assert isinstance(found, list)
        return sum(found)

    eventually(lambda: seconds() == 10 * EACH, 60, "all seconds are stored")


def test_an_event_reports_levels_and_presence(hub: HubProcess) -> None:
    first = events(hub, "limit=1&place=test/sound")[0]
    event = hub.get(f"/api/v1/events/{first['id']}")
    assert event == first
    assert event["level_unit"] == "dBFS"
    assert isinstance(event["laeq"], float)
    assert -120 <= event["laeq"] <= 0
    assert isinstance(event["presence"], dict)
    assert len(event["presence"]) == 8


def test_similar_events_are_of_the_same_space_best_first_and_not_the_event_itself(hub: HubProcess) -> None:
    event = events(hub, "limit=1&place=test/numbers-0")[0]
    matches = hub.get(f"/api/v1/events/{event['id']}/similar?k=20")["matches"]
    assert isinstance(matches, list)
    ranks = [match["rank"] for match in matches]
    assert ranks == sorted(ranks, reverse=True)
    assert len(ranks) == 20
    assert all(match["event"] != event["id"] and match["sensor"].startswith("numbers") for match in matches)


def test_alerts_are_published_and_kept(hub: HubProcess, alerts: MqttSession) -> None:
    kept = hub.get("/api/v1/alerts?limit=500")["alerts"]
    assert isinstance(kept, list)
    assert kept
    published: list[str] = []
    try:
        while len(published) < len(kept):
            signal = alerts.signals.get(timeout=20)
            if isinstance(signal, Received):
                published.append(decode_json(AlertMessage, signal.payload, max_bytes=100_000).event)
                alerts.acknowledge(signal)
    except queue.Empty:
        pass
    assert sorted(set(published)) == sorted(alert["event"] for alert in kept)
    assert all(match["shared"] for alert in kept for match in alert["matches"])


@pytest.mark.parametrize("of", ["debian"], indirect=True)  # rumqttd publishes a will after an orderly end, too
def test_sensors_announce_that_they_left(hub: HubProcess) -> None:
    def states() -> set[tuple[str, str, int]]:
        sensors = hub.get("/api/v1/sensors")["sensors"]
        assert isinstance(sensors, list)
        return {(s["sensor"], s["state"], s["events"]) for s in sensors}

    expected = {(name, "disconnected", EACH) for name in ("sound", "numbers-0", "numbers-1")}
    eventually(lambda: states() == expected, 20, "all sensors are disconnected")


def test_the_audio_is_kept_beside_the_archive(hub: HubProcess, folder: Path) -> None:
    assert hub.ready()
    assert len(list((folder / "clips").rglob("*.flac"))) == EACH


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/events/nonsense", 422),
        ("/api/v1/events/s.a.b.1", 404),
        ("/api/v1/events/s.a.b.1/similar", 404),
        ("/api/v1/events?limit=0", 422),
        ("/api/v1/events?since=yesterday", 422),
    ],
)
def test_a_mistaken_request_gets_an_error(hub: HubProcess, path: str, status: int) -> None:

    answer = httpx.get(f"http://127.0.0.1:{hub.port}{path}", timeout=30)
    assert answer.status_code == status
    assert answer.json()["detail"]
