"""Commands of a hub to a real sensor, over a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.commands.command_client import make_command, replies
from shared.commands import CommandAction, ReplyMessage
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_STATES
from shared.settings import MqttSettings
from tests.processes import EdgeProcess, Mosquitto, write_embeddings

PLACE = "demo/sensor-1"
ROLLBACK_S = 3.0


def embeddings_sensor(folder: Path, port: int) -> EdgeProcess:
    data = write_embeddings(folder / "embeddings.npz", 20)
    return EdgeProcess(
        folder / "edge",
        port,
        *("source.kind=embeddings", f"source.path={data}", "source.loop=true"),
        *("commands.enabled=true", f"commands.rollback_after_s={ROLLBACK_S}"),
    )


@pytest.fixture
def sensor(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[EdgeProcess]:
    edge = embeddings_sensor(tmp_path, mosquitto.port)
    await_ready(mosquitto.settings)
    yield edge
    if edge.process.poll() is None:
        edge.kill()


def await_ready(mqtt: MqttSettings) -> None:
    """Wait for the sensor's retained state, which it publishes after it has subscribed to commands."""
    watcher = MqttSession(mqtt.without_session(), "watcher")
    watcher.start()
    try:
        while not isinstance(signal := watcher.signals.get(timeout=30), Received):
            if isinstance(signal, Connected):
                watcher.subscribe(ALL_STATES)
    finally:
        watcher.stop()


def sent(mqtt: MqttSettings, action: CommandAction, **settings: str | None) -> list[ReplyMessage]:
    """The replies to a command; `__` stands for the dot in the name of a setting."""
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return list(replies(mqtt, make_command(PLACE, action, hub="hub-1", settings=changes), 60))


def test_a_change_that_breaks_the_connection_is_rolled_back_by_the_sensor(
    sensor: EdgeProcess, mosquitto: Mosquitto
) -> None:
    before = sent(mosquitto.settings, "settings")[-1]
    assert before.settings is not None
    assert before.settings["mqtt.port"] == str(mosquitto.port)
    command = make_command(PLACE, "change-settings", hub="hub-1", settings={"mqtt.port": "1"})
    statuses = [reply.status for reply in replies(mosquitto.settings, command, 110)]
    assert statuses == ["accepted", "rolled-back"]
    after = sent(mosquitto.settings, "settings")[-1]
    assert after.settings == before.settings
    assert after.changed == []
    assert after.boot != before.boot
    assert sensor.process.poll() is None


def test_a_change_that_works_is_confirmed_and_stays_over_a_restart(sensor: EdgeProcess, mosquitto: Mosquitto) -> None:
    change = sent(mosquitto.settings, "change-settings", sensor__report_interval_s="17", log__level="warning")
    assert [reply.status for reply in change] == ["accepted", "done"]
    assert sent(mosquitto.settings, "restart")[-1].status == "done"
    shown = sent(mosquitto.settings, "settings")[-1]
    assert shown.settings is not None
    assert shown.settings["sensor.report_interval_s"] == "17.0"
    assert shown.changed == ["log.level", "sensor.report_interval_s"]
    undone = sent(mosquitto.settings, "change-settings", sensor__report_interval_s=None, log__level=None)
    assert undone[-1].changed == []
    assert sensor.process.poll() is None
