"""Commands of a hub to a real sensor, over a real broker."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.commands.command_client import make_command, publish, replies
from shared.commands import CommandAction, ReplyMessage
from shared.errors import UnavailableError
from shared.messages.codec import decode_json
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_COMMAND_REPLIES, ALL_STATES
from shared.settings import MqttSettings
from tests.server_processes import EdgeProcess, HubProcess, Mosquitto, Valkey, eventually, write_embeddings

pytestmark = pytest.mark.e2e

PLACE = "demo/sensor-1"
ROLLBACK_S = 10.0


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


def test_a_repeated_command_runs_once_and_is_answered_twice(sensor: EdgeProcess, mosquitto: Mosquitto) -> None:
    first = sent(mosquitto.settings, "restart")[-1]
    command = make_command(PLACE, "version", hub="hub-1").model_copy(update={"id": first.id})
    link = MqttSession(mosquitto.settings.without_session(), "repeater")
    link.start()
    try:
        answers: list[ReplyMessage] = []
        while not answers:
            match link.signals.get(timeout=20):
                case Connected():
                    link.subscribe(ALL_COMMAND_REPLIES)
                    publish(link, command)
                case Received(payload=payload):
                    answers.append(decode_json(ReplyMessage, payload))
    finally:
        link.stop()
    assert answers == [first]
    assert sensor.process.poll() is None


def test_settings_with_which_the_sensor_cannot_start_are_rolled_back_at_once(
    sensor: EdgeProcess, mosquitto: Mosquitto
) -> None:
    change = sent(mosquitto.settings, "change-settings", features__space="missing.toml")
    assert [reply.status for reply in change] == ["accepted", "rolled-back"]
    assert "cannot run" in change[-1].reason
    assert sensor.process.poll() is None


def test_a_sensor_that_sends_no_sound_refuses_a_clip_and_reports_its_state(
    sensor: EdgeProcess, mosquitto: Mosquitto
) -> None:
    refused = sent(mosquitto.settings, "clip")[-1]
    assert (refused.status, refused.reason) == ("refused", "this sensor sends no sound")
    tested = sent(mosquitto.settings, "self-test")[-1]
    assert {finding.what for finding in tested.findings or []} >= {"source", "spool", "broker"}
    version = sent(mosquitto.settings, "version")[-1].software
    assert version is not None
    assert version["earwitness"].startswith("earwitness-edge")
    assert sensor.process.poll() is None


def test_a_clip_on_request_is_an_event(tmp_path: Path, mosquitto: Mosquitto) -> None:
    edge = EdgeProcess(tmp_path / "edge", mosquitto.port, "source.speed=20", "commands.enabled=true")
    try:
        await_ready(mosquitto.settings)
        clip = sent(mosquitto.settings, "clip")
        assert [reply.status for reply in clip] == ["accepted", "done"]
        assert (clip[-1].event or "").startswith("demo.sensor-1.")
    finally:
        edge.kill()


def test_a_sensor_without_commands_is_named_at_once(mosquitto: Mosquitto) -> None:
    with pytest.raises(UnavailableError, match=r"commands\.enabled"):
        sent(mosquitto.settings, "version")


def test_the_command_line_prints_settings_and_refusals(sensor: EdgeProcess, mosquitto: Mosquitto) -> None:
    common = ["sensors", "command", PLACE]
    own = ["--set", f"mqtt.port={mosquitto.port}"]
    shown = CliRunner().invoke(app, [*common, "settings", "--json", *own])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["settings"]["sensor.name"] == "sensor-1"
    refused = CliRunner().invoke(app, [*common, "change-settings", "--change", "mqtt.tls=true", *own])
    assert refused.exit_code == 1
    assert "refused: mqtt.tls" in refused.output
    wrong = CliRunner().invoke(app, [*common, "explode", *own])
    assert wrong.exit_code == 2
    assert sensor.process.poll() is None


def test_the_page_and_the_api_send_commands_and_show_the_replies(
    tmp_path: Path, sensor: EdgeProcess, mosquitto: Mosquitto
) -> None:
    store = Valkey(tmp_path / "store")
    store.start()
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url)
    hub.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{hub.port}", timeout=30) as client:
            page, api = f"/sensors/{PLACE}", f"/api/v1/sensors/{PLACE}/commands"
            eventually(lambda: client.get(page).status_code == 200, 30, "the hub knows the sensor")
            assert client.post(api, json={"action": "version"}).status_code == 403, "not from another site"
            ours = {"X-Earwitness": "test"}
            made = client.post(api, json={"action": "settings"}, headers=ours)
            assert (made.status_code, made.json()["status"]) == (202, "sent")

            def statuses() -> list[str]:
                return [one["status"] for one in client.get(api).json()["commands"]]

            eventually(lambda: statuses() == ["done"], 30, "the reply is stored")
            form = {"action": "change-settings", "setting": "sensor.site", "value": "other"}
            assert client.post(f"{page}/commands", data=form, headers=ours).status_code == 303
            eventually(lambda: statuses() == ["refused", "done"], 30, "the reply is stored")
            shown = client.get(page).text
            assert "it identifies the sensor at the broker" in shown
            assert "sensor.report_interval_s" in shown
            (listed,) = client.get("/api/v1/sensors").json()["sensors"]
            assert 0 < listed["report"]["health"]["memory_used"] < 1
            assert "Disk of the spool" in shown
            assert client.get("/sensors/demo/unknown").status_code == 404
            assert client.get("/sensors").text.count(page) == 1
    finally:
        hub.stop()
        store.stop()
    assert sensor.process.poll() is None
