"""A real Prometheus scrapes a real hub, with broker, store, sensors, alerts and feedback.

Every expression of rules and dashboards is asked of it. The heartbeat goes its way, and no other client sees it.
"""

import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hub.store.events import EventStore
from shared.events import Embedding, Event
from shared.feature_space import VGGISH
from shared.messages.event import encode_event
from shared.mqtt.session import Acknowledged, Connected, MqttSession, Received
from shared.mqtt.topics import ALL_ALERTS, ALL_EVENTS, ALL_STATES, HEARTBEAT_REPLY_TOPIC, SensorTopic
from tests.deploy.expressions import EMPTY, RULES, Asked, alerting, drawn, listed, recorded, selectors
from tests.factories import event
from tests.fake_receivers import Receiver
from tests.programs import program
from tests.running_hub import Configured
from tests.server_processes import (
    Broker,
    EdgeProcess,
    HubProcess,
    Mosquitto,
    Server,
    Store,
    Valkey,
    eventually,
    write_embeddings,
)

pytestmark = pytest.mark.e2e

SELECTORS_EMPTY = {
    'up{job=~"alertmanager|prometheus"}': "not scraped in this test",
    "prometheus_rule_evaluation_failures_total": "the same",
    "prometheus_notifications_dropped_total": "the same",
    "earwitness_hub_certificate_expiry_timestamp_seconds": "without TLS there is none; test_deploy has it",
    "earwitness_sensor_certificate_expiry_timestamp_seconds": "the same",
}


SELECTORS_EMPTY |= {
    selector: "no sensor is scraped in this test; test_edge_metrics scrapes one"
    for asked in alerting()
    for selector in selectors(asked.expr)
    if selector.startswith("earwitness_edge_")
}
MACHINES = {"EarwitnessDiskFull": "the disk that tests run on is not part of the network"}

SETTINGS = """
[store]
audio_dir = "{clips}"
[limits]
folder = "{limits}"
[redis]
timeout_s = 2
[search]
recall_sample_rate = 1
[alerts]
default_threshold = 0.05
min_shared_probability = 0.05
min_category_probability = 0.2
cooldown_s = 0
max_false_alerts_per_day = 1000
[notify.webhooks.desk]
url = "{webhook}"
[monitoring]
heartbeat_interval_s = 0.5
interval_s = 0.5
drift_interval_s = 1
drift_min_events = 20
drift_reference_days = 0.00001
"""
LIMIT = """
source = "a by-law"
[[rule]]
name = "own"
title = "Own"
quantity = "laeq"
period = "hour"
limit_db = 55.0
notify = true
"""


class Prometheus(Server):
    """Debian's Prometheus, scraping one hub every second with the rules of deploy/prometheus."""

    def __init__(self, folder: Path, hub_port: int) -> None:
        super().__init__(folder)
        self.executable = program("prometheus")
        groups = folder / "rules"
        groups.mkdir()
        for path in RULES:
            (groups / path.name).write_text(path.read_text())
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{groups}/*.yml"],
            "scrape_configs": [
                {"job_name": "earwitness-hub", "static_configs": [{"targets": [f"127.0.0.1:{hub_port}"]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def command(self) -> list[str]:
        return [
            self.executable,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        ]

    def ready(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=30).status_code == 200)
        except httpx.TransportError:
            return False

    def api(self, path: str, **parameters: str) -> list[dict[str, object]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        answer = httpx.get(url, timeout=30)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        data = answer.json()["data"]
        return list(data["result"] if isinstance(data, dict) else data)

    def ask(self, expr: str) -> list[float]:
        """Values of an expression now, those that are numbers."""
        values = [float(str(one["value"][1])) for one in self.api("query", query=expr)]  # type: ignore[index]
        return [value for value in values if not math.isnan(value)]


@dataclass(frozen=True, slots=True)
class Running:
    """A network that is scraped."""

    hub: HubProcess
    prometheus: Prometheus
    broker: Broker
    store: Store
    webhook: Receiver
    received: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub.port}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A hub with a sensor that goes on and two that ended, one of which lost an event; alerts, sent and judged."""
    folder = tmp_path_factory.mktemp("metrics")
    broker, store = Mosquitto(folder / "broker"), Valkey(folder / "store", "--appendonly", "yes")
    webhook, config = Receiver(), folder / "hub.toml"
    hub = Configured(folder / "hub", broker.port, store.url, config)
    prometheus = Prometheus(folder / "prometheus", hub.port)
    broker.start()
    store.start()
    received: list[str] = []
    link = listener(broker, received)
    config.write_text(SETTINGS.format(clips=folder / "clips", limits=folder / "limits", webhook=webhook.url))
    for name in ("clips", "limits"):
        (folder / name).mkdir()
    (folder / "limits" / "own.toml").write_text(LIMIT)
    hub.start()
    prometheus.start()
    eventually(lambda: prometheus.ask("earwitness_hub_alerts_total") == [0.0], 30, "zeros are there beforehand")
    started = datetime.now(UTC)
    common = ("sensor.site=test", f"source.start_time={started.isoformat()}")
    data = write_embeddings(folder / "embeddings.npz", 200)
    sound = EdgeProcess(
        folder / "sound", broker.port, *common, "sensor.name=sound", "source.speed=100", "source.max_clips=30"
    )
    live = EdgeProcess(
        folder / "live",
        broker.port,
        *common,
        *("source.kind=embeddings", f"source.path={data}", "sensor.name=live", "source.speed=20", "source.loop=true"),
    )
    try:
        assert sound.finish()["captured"] == 30
        send(broker, numbers())
        eventually(lambda: hub.metric("earwitness_store_alerts") > 0, 30, "an alert")
        alert = httpx.get(f"http://127.0.0.1:{hub.port}/api/v1/alerts?limit=1", timeout=30).json()["alerts"][0][
            "event"
        ]
        stated = httpx.post(
            f"http://127.0.0.1:{hub.port}/api/v1/alerts/{alert}/feedback",
            json={"verdict": "same"},
            headers={"X-Earwitness": "test"},
            timeout=30,
        )
        assert stated.status_code == 201, stated.text
        yield Running(hub, prometheus, broker, store, webhook, received)
    finally:
        live.kill()
        for server in (prometheus, hub, store, broker):
            server.stop()
        link.stop()
        webhook.stop()


def numbers() -> list[Event]:
    """Three events of each of eighty sensors, captured now, of a few kinds."""
    kinds = np.random.default_rng(0).integers(0, 256, (4, *VGGISH.shape), dtype=np.uint8)
    return [
        replace(
            event(seq, sensor=f"numbers-{number}", site="test"),
            captured_at=datetime.now(UTC) - timedelta(milliseconds=500 - 5 * number - seq),
            body=Embedding(VGGISH.id, kinds[number % 4]),
        )
        for number in range(80)
        for seq in range(3)
    ]


def send(broker: Broker, events: Sequence[Event]) -> None:
    """Publish events as their sensors do, and wait until the broker has them."""
    link = MqttSession(broker.settings, "sender")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    for one in events:
        link.publish(str(SensorTopic(one.site, one.id.sensor, "event")), encode_event(one))
    for _ in events:
        assert isinstance(link.signals.get(timeout=20), Acknowledged)
    link.stop()


def listener(broker: Broker, received: list[str]) -> MqttSession:
    """A client that subscribes to everything that is for others, and notes the topics."""

    def on_signal(signal: object) -> None:
        if isinstance(signal, Connected):
            for topic_filter in (ALL_ALERTS, ALL_EVENTS, ALL_STATES):
                link.subscribe(topic_filter)
        if isinstance(signal, Received):
            received.append(signal.topic)
            link.acknowledge(signal)

    link = MqttSession(broker.settings, "observer", on_signal=on_signal)
    link.start()
    return link


@pytest.mark.parametrize("asked", [*recorded(), *drawn(), *listed()], ids=lambda asked: asked.where)
def test_every_expression_of_dashboards_and_recording_rules_returns_data(running: Running, asked: Asked) -> None:
    if asked.expr in EMPTY:
        running.prometheus.ask(asked.filled)
    else:
        eventually(lambda: bool(running.prometheus.ask(asked.filled)), 40, asked.filled)


@pytest.mark.parametrize("asked", alerting(), ids=lambda asked: asked.where)
def test_every_alerts_series_are_there_before_it_fires(running: Running, asked: Asked) -> None:
    running.prometheus.ask(asked.filled)
    for selector in selectors(asked.expr):
        if selector not in SELECTORS_EMPTY:
            eventually(lambda s=selector: bool(running.prometheus.ask(s)), 40, selector)  # type: ignore[misc]


@pytest.mark.parametrize(
    "asked", [asked for asked in alerting() if asked.where not in MACHINES], ids=lambda asked: asked.where
)
def test_no_alert_has_a_reason_on_a_network_that_is_well(running: Running, asked: Asked) -> None:
    if asked.where == "EarwitnessWatchdog":
        assert running.prometheus.ask(asked.filled) == [1.0]
    else:
        eventually(lambda: not running.prometheus.api("query", query=asked.filled), 30, asked.filled)


@pytest.mark.parametrize(
    "series",
    [
        "earwitness_hub_alert_latency_seconds_bucket",
        *(
            f'earwitness_hub_stage_duration_seconds_bucket{{stage="{stage}"}}'
            for stage in ("decode", "features", "archive", "retrieve", "judge")
        ),
    ],
)
def test_exemplars_name_events_that_took_that_long(running: Running, series: str) -> None:
    def found() -> list[dict[str, object]]:
        now = datetime.now(UTC)
        return running.prometheus.api(
            "query_exemplars", query=series, start=(now - timedelta(hours=1)).isoformat(), end=now.isoformat()
        )

    eventually(lambda: bool(found()), 30, "an exemplar")
    events = re.findall(r'"event": "test\.(\w+)', json.dumps(found()))
    assert events
    assert set(events) <= {"live", "numbers", "sound"}


def test_heartbeats_come_back_and_no_one_else_sees_them(running: Running) -> None:
    before = running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count")
    eventually(
        lambda: running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count") > before + 2, 30, "beats"
    )
    assert running.hub.metric("earwitness_hub_last_heartbeat_timestamp_seconds") > datetime.now(UTC).timestamp() - 30
    for path, key in (("events", "events"), ("alerts", "alerts"), ("episodes", "episodes")):
        found = httpx.get(f"{running.url}/api/v1/{path}?limit=200", timeout=30).json()[key]
        assert found
        assert "heartbeat" not in json.dumps(found)
    archive = EventStore(running.store.url)
    assert "heartbeat" not in {sensor.place.partition("/")[0] for sensor in archive.sensors.all()}
    assert not archive.client.exists("ew:site:heartbeat")
    assert archive.letters.count() == 0
    archive.close()
    assert running.received
    assert not [topic for topic in running.received if "heartbeat" in topic]
    assert running.webhook.taken
    assert not [posted for posted in running.webhook.taken if b"heartbeat" in posted.body]


def test_an_event_that_never_comes_is_reported_until_it_comes_late(running: Running) -> None:
    def missing() -> float | None:
        return sample(running.hub, "earwitness_sensor_events_missing", sensor="gaps")

    send(running.broker, [event(seq, sensor="gaps") for seq in (0, 1, 4)])
    eventually(lambda: missing() == 2, 20, "two are missing")
    send(running.broker, [event(2, sensor="gaps")])
    eventually(lambda: missing() == 1, 20, "one came late")


def sample(hub: HubProcess, name: str, **labels: str) -> float | None:
    """One series as the hub exports it now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{hub.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    return None


def test_while_the_store_hangs_that_is_reported_and_no_sensor_stays_at_its_last_level(running: Running) -> None:
    running.store.freeze()
    try:
        eventually(lambda: running.hub.metric("earwitness_store_up") == 0, 30, "the store is away")
        eventually(lambda: sample(running.hub, "earwitness_sensor_laeq_decibels") is None, 20, "no level is exported")
        assert math.isnan(running.hub.metric("earwitness_store_events"))
    finally:
        running.store.thaw()
    eventually(lambda: running.hub.metric("earwitness_store_up") == 1, 30, "the store is back")
    eventually(lambda: sample(running.hub, "earwitness_sensor_laeq_decibels") is not None, 30, "levels are exported")
    before = running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count")
    eventually(
        lambda: running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count") > before, 30, "the heart beats"
    )


def test_a_word_on_the_heartbeats_topic_that_is_none_does_no_harm(running: Running) -> None:
    before = running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count")
    link = MqttSession(running.broker.settings, "stranger")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    link.publish(HEARTBEAT_REPLY_TOPIC, b"?")
    assert isinstance(link.signals.get(timeout=20), Acknowledged)
    link.stop()
    eventually(
        lambda: running.hub.metric("earwitness_hub_heartbeat_roundtrip_seconds_count") > before, 30, "the heart beats"
    )
