"""`earwitness-hub check` against real servers that are not as they should be: the sentences an operator reads."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from cryptography import x509

from edge.diagnostics import run_checks as examine_edge
from edge.settings import EdgeSettings
from hub.app.factory import build_event_store
from hub.deployment.certificate_authority import CLIENT_DAYS, SERVER_DAYS, Authority
from hub.diagnostics import run_checks
from hub.diagnostics.result import CheckResult
from hub.settings import HubSettings
from hub.store.events import EventStore
from shared.errors import InvalidError
from shared.mqtt.diagnostics import client_certificate_expiry
from shared.mqtt.session import MqttSession
from shared.settings import load_settings
from tests.deployment import CreatedDeployment, DeploymentBroker, FoundedStore
from tests.factories import NOON, alert, stored
from tests.server_processes import Broker, Mosquitto, Store, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture
def founded(tmp_path: Path) -> CreatedDeployment:
    return CreatedDeployment(tmp_path / "noise")


@pytest.fixture
def servers(tmp_path: Path, founded: CreatedDeployment) -> Iterator[FoundedStore]:
    """The deployment's broker and store."""
    broker, store = DeploymentBroker(tmp_path / "broker", founded), FoundedStore(tmp_path / "store", founded)
    broker.start()
    store.start()
    yield store
    broker.stop()
    store.stop()


def found(settings: HubSettings) -> dict[str, CheckResult]:
    return {finding.name: finding for finding in run_checks(settings)}


def of_store(url: str, mqtt_port: int) -> CheckResult:
    return found(load_settings(HubSettings, None, [f"redis.url={url}", f"mqtt.port={mqtt_port}"]))["store"]


def test_what_init_wrote_is_well(founded: CreatedDeployment, servers: FoundedStore) -> None:
    assert servers.process is not None
    findings = found(load_settings(HubSettings, founded.hub_toml, []))
    assert [name for name, finding in findings.items() if not finding.ok] == []
    assert findings["store"].doubts == ()
    assert "no sensor states" in findings["broker"].doubts[0]
    assert findings["folders"].ok
    assert all("root owns" in doubt for doubt in findings["folders"].doubts)  # where root runs the tests


def test_the_store_refuses_others_and_keeps_the_hub_from_emptying_it(
    founded: CreatedDeployment, servers: FoundedStore
) -> None:
    assert servers.process is not None
    port = founded.ports["redis"]
    for wrong, sentence in (
        (f"redis://hub:guessed@127.0.0.1:{port}/0", "correct user and password in redis.url"),
        (f"redis://127.0.0.1:{port}/0", "the store asks for a password"),
        (f"redis://health:x@127.0.0.1:{port}/0", "the user in redis.url lacks rights"),
    ):
        finding = of_store(wrong, founded.ports["hubs"])
        assert not finding.ok
        assert sentence in finding.text
        assert "guessed" not in finding.text
    hub = redis.Redis.from_url(
        load_settings(HubSettings, founded.hub_toml, []).redis.url.get_secret_value(), protocol=2
    )
    refused: tuple[Callable[[], object], ...] = (
        hub.flushall,
        lambda: hub.keys("*"),
        lambda: hub.config_get("*"),
        lambda: hub.shutdown(nosave=True),
    )
    for command in refused:
        with pytest.raises(redis.exceptions.NoPermissionError):
            command()
    operator = as_operator(founded)
    assert operator.config_get("appendonly") == {"appendonly": "yes"}
    health = redis.Redis(port=port, username="health", password="any", protocol=2)  # noqa: S106 - any user may ask
    assert health.ping()


def as_operator(founded: CreatedDeployment) -> redis.Redis:
    password = (founded.folder / "redis.operator.password").read_text().strip()
    return redis.Redis(port=founded.ports["redis"], username="operator", password=password, protocol=2)


def test_what_the_store_was_given_is_there_after_a_restart(founded: CreatedDeployment, servers: FoundedStore) -> None:
    """Redis replays its file as the default user, which cannot be assumed: transactions and scripts as well."""
    archive = build_event_store(load_settings(HubSettings, founded.hub_toml, []))
    events = [stored(seq) for seq in range(20)]
    archive.add_many(events)
    archive.mark_processed([(event.id, alert(str(event.id))) for event in events])
    operator = as_operator(founded)
    eventually(lambda: operator.info("persistence")["aof_buffer_length"] == 0, 60, "Redis's file holds them")
    servers.kill()
    servers.start()
    eventually(lambda: archive.count() == 20, 20, "all events are there again")
    assert archive.alerts.count() == 20
    archive.close()


def test_a_store_that_forgets_is_reported(tmp_path: Path, broker: Broker, store: Store) -> None:
    assert of_store(store.url, broker.port).doubts == ()
    client = redis.Redis.from_url(store.url, protocol=2)
    client.config_set("appendonly", "no")
    assert "set `appendonly yes`" in of_store(store.url, broker.port).doubts[0]
    client.config_set("maxmemory-policy", "allkeys-lru")
    finding = of_store(store.url, broker.port)
    assert not finding.ok
    assert "maxmemory-policy noeviction" in finding.text
    store.stop()
    finding = of_store(store.url, broker.port)
    assert not finding.ok
    assert "start it, or correct redis.url" in finding.text
    assert tmp_path.exists()


def test_sensors_whose_clock_is_ahead_are_reported(broker: Broker, store: Store) -> None:
    now = int(time.time() * 1000)
    client = redis.Redis.from_url(store.url, protocol=2)
    for name, ahead_ms in (("harbour/fast", 3_600_000), ("harbour/right", -5_000)):
        client.sadd("ew:sensors", name)
        client.hset(
            f"ew:sensor:{name}", mapping={"last_captured_ms": now + ahead_ms, "last_received_ms": now, "events": 1}
        )
    archive = EventStore(store.url)
    assert {sensor.place for sensor in archive.sensors.all()} == {"harbour/fast", "harbour/right"}
    archive.close()
    (doubt,) = of_store(store.url, broker.port).doubts
    assert "harbour/fast" in doubt
    assert "harbour/right" not in doubt


def test_events_from_the_future_that_are_kept_are_reported(broker: Broker, store: Store) -> None:
    ahead_s = (datetime.now(UTC) - NOON).total_seconds() + 3_600
    archive = EventStore(store.url)
    for sensor, after_s in (("fast", ahead_s), ("right", ahead_s - 3_605)):
        archive.add_many([stored(sensor=sensor, after_s=after_s)])
    archive.close()
    (doubt,) = [one for one in of_store(store.url, broker.port).doubts if "future" in one]
    assert "demo/fast" in doubt
    assert "demo/right" not in doubt


def test_folders_that_cannot_be_written_and_models_that_cannot_be_read_are_reported(
    tmp_path: Path, broker: Broker, store: Store
) -> None:
    taken = tmp_path / "a file"
    taken.write_text("")
    overrides = [
        f"mqtt.port={broker.port}",
        f"redis.url={store.url}",
        f"store.audio_dir={taken}",
        f'model.checkpoints=["{taken}"]',
    ]
    findings = found(load_settings(HubSettings, None, overrides))
    assert not findings["folders"].ok
    assert f"cannot write {taken}" in findings["folders"].text
    assert not findings["models"].ok
    assert str(taken) in findings["models"].text


def test_check_leaves_no_folder_behind_and_as_root_states_for_whom_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own user could write neither a folder nor a spool that root made."""
    overrides = [f"store.audio_dir={tmp_path / 'hub' / 'clips'}", "mqtt.port=1", "redis.url=redis://127.0.0.1:1/0"]
    settings = load_settings(HubSettings, None, overrides)
    owner = tmp_path.stat().st_uid
    for uid, words in (
        (0, f"a hub that runs as uid {owner}, the owner of {tmp_path}, can write there"),
        (10_001, f"{tmp_path / 'hub' / 'clips'} is writable"),
    ):
        monkeypatch.setattr("os.getuid", lambda uid=uid: uid)
        assert words in found(settings)["folders"].text
    edge = EdgeSettings.model_validate({"mqtt": {"port": 1}, "spool": {"path": tmp_path / "edge" / "spool.db"}})
    spool = next(one for one in examine_edge(edge) if one.what == "spool")
    assert spool.ok
    assert f"it can be created in {tmp_path}, which belongs to uid {owner}" in spool.words
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_that_ends_soon_is_reported_on_both_sides(tmp_path: Path, founded: CreatedDeployment) -> None:
    ca = founded.folder / "ca"
    servers = Authority.read(ca / "servers.crt", ca / "servers.key", ca / "servers.crl")
    then = datetime.now(UTC) - timedelta(days=SERVER_DAYS - 10)
    issued = servers.issue("broker", then, hosts=["localhost"])
    (founded.folder / "mosquitto" / "broker.crt").write_bytes(issued.certificate)
    (founded.folder / "mosquitto" / "broker.key").write_bytes(issued.key)
    broker = DeploymentBroker(tmp_path / "broker", founded)
    broker.start()
    try:
        hub = load_settings(HubSettings, founded.hub_toml, ["mqtt.host=localhost"])
        assert any("the broker's certificate expires on" in doubt for doubt in found(hub)["broker"].doubts)
        edge = EdgeSettings.model_validate(
            {
                "sensor": {"site": "harbour", "name": "street-1"},
                "mqtt": founded.sensor("harbour/street-1"),
                "spool": {"path": tmp_path / "spool.db"},
            }
        )
        words = next(one.words for one in examine_edge(edge) if one.what == "tls")
        assert "the broker's certificate is valid until" in words
        assert ", soon: " in words
    finally:
        broker.stop()


def test_a_wrong_password_at_the_broker_is_reported(mosquitto: Mosquitto, store: Store) -> None:
    conf = mosquitto.folder / "mosquitto.conf"
    passwords = mosquitto.folder / "passwords"
    passwords.write_text("")
    conf.write_text(conf.read_text().replace("allow_anonymous true", f"password_file {passwords}"))
    mosquitto.stop()
    mosquitto.start()
    overrides = [f"mqtt.port={mosquitto.port}", "mqtt.username=hub", "mqtt.password=guess"]
    finding = found(load_settings(HubSettings, None, [*overrides, f"redis.url={store.url}"]))["broker"]
    assert not finding.ok
    assert "refuses the login" in finding.text
    assert "correct mqtt.username and mqtt.password_file" in finding.text
    assert "guess" not in finding.text


def test_a_spool_that_cannot_be_written_and_a_disk_too_small_are_reported(tmp_path: Path, broker: Broker) -> None:
    def finding(what: str, **spool: object) -> tuple[bool, str]:
        settings = EdgeSettings.model_validate({"mqtt": broker.settings, "spool": spool})
        found = next(one for one in examine_edge(settings) if one.what == what)
        return found.ok, found.words

    (tmp_path / "taken").write_text("")
    ok, words = finding("spool", path=tmp_path / "taken" / "spool.db")
    assert not ok
    assert str(tmp_path / "taken") in words
    ok, words = finding("disk", path=tmp_path / "spool.db", max_bytes=10**18)
    assert ok
    assert "less than spool.max_bytes" in words


def test_a_certificate_that_is_not_the_hubs_is_reported(founded: CreatedDeployment, servers: FoundedStore) -> None:
    assert servers.process is not None
    other = founded.folder / "listener"
    wrong = (f"mqtt.cert_file={other / 'listener.crt'}", f"mqtt.key_file={other / 'listener.key'}")
    finding = found(load_settings(HubSettings, founded.hub_toml, list(wrong)))["broker"]
    assert not finding.ok
    assert "the broker does not let this hub publish" in finding.text


def test_the_pages_address_is_tried_and_links_that_lead_nowhere_are_doubted(
    founded: CreatedDeployment, servers: FoundedStore
) -> None:
    assert servers.process is not None
    settings = load_settings(HubSettings, founded.hub_toml, [])
    findings = found(settings)
    assert findings["web"].text.endswith("is free")
    assert "links in alerts open on this machine only" in findings["notifiers"].doubts[0]
    with socket.create_server((settings.web.host, settings.web.port)) as taken:
        taken.settimeout(10)
        threading.Thread(target=taken.accept, daemon=True).start()  # and states nothing
        finding = found(settings)["web"]
    assert not finding.ok
    assert f"web.port {settings.web.port}: Address already in use" in finding.text


def test_a_sensors_own_certificate_that_ends_soon_is_reported(
    founded: CreatedDeployment, servers: FoundedStore
) -> None:
    assert servers.process is not None
    mqtt = founded.sensor("harbour/street-1")
    assert mqtt.cert_file is not None
    ends = client_certificate_expiry(mqtt)
    assert ends == x509.load_pem_x509_certificate(mqtt.cert_file.read_bytes()).not_valid_after_utc
    authority = Authority.read(*(founded.folder / "ca" / f"sensors.{kind}" for kind in ("crt", "key", "crl")))
    soon = datetime.now(UTC) - timedelta(days=CLIENT_DAYS - 5)
    issued = authority.issue("harbour/street-1", soon)
    mqtt.cert_file.write_bytes(issued.certificate)
    mqtt.key_file.write_bytes(issued.key)  # type: ignore[union-attr]
    edge = EdgeSettings.model_validate({"sensor": {"site": "harbour", "name": "street-1"}, "mqtt": mqtt})
    (tls,) = (one for one in examine_edge(edge) if one.what == "tls")
    assert tls.ok
    assert re.search(r"this sensor's until \d{4}-\d\d-\d\d, soon: ", tls.words)


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_not_there_is_named(founded: CreatedDeployment, name: str) -> None:
    with pytest.raises(InvalidError, match=rf"mqtt.{name} /nowhere cannot be read: No such file"):
        MqttSession(founded.client("hub").model_copy(update={name: Path("/nowhere")}), "test")


def test_a_key_of_another_certificate_is_reported(founded: CreatedDeployment) -> None:
    other = founded.folder / "listener" / "listener.key"
    with pytest.raises(InvalidError, match=r"is not the key of mqtt\.cert_file"):
        MqttSession(founded.client("hub").model_copy(update={"key_file": other}), "test")
