"""A real sensor's report in its retained state, while no hub accepts its events."""

from pathlib import Path

import pytest

from shared.messages.codec import decode_json
from shared.messages.sensor import SensorReport, StateMessage
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_STATES
from tests.server_processes import EdgeProcess, Mosquitto, write_embeddings

pytestmark = pytest.mark.e2e


def next_state(watcher: MqttSession) -> StateMessage:
    while True:
        received = watcher.signals.get(timeout=20)
        if isinstance(received, Received):
            watcher.acknowledge(received)
            return decode_json(StateMessage, received.payload)


def next_report(watcher: MqttSession) -> SensorReport:
    report = next_state(watcher).report
    assert report is not None
    return report


def test_a_sensor_reports_now_and_then_what_waits_in_its_spool(tmp_path: Path, mosquitto: Mosquitto) -> None:
    watcher = MqttSession(mosquitto.settings, "watcher")
    watcher.start()
    assert isinstance(watcher.signals.get(timeout=20), Connected)
    watcher.subscribe(ALL_STATES)
    data = write_embeddings(tmp_path / "embeddings.npz", 20)
    edge = EdgeProcess(
        tmp_path / "edge",
        mosquitto.port,
        *("source.kind=embeddings", f"source.path={data}", "source.loop=true", "source.speed=200"),
        "sensor.report_interval_s=1",
    )
    try:
        reports = [next_report(watcher) for _ in range(3)]
        assert [report.waiting for report in reports] == sorted({report.waiting for report in reports}), (
            "more and more"
        )
        assert 0 < reports[-1].spool < 0.01
        assert {report.dropped for report in reports} == {0}
        assert {report.certificate_end for report in reports} == {None}
        edge.kill()
        while (state := next_state(watcher)).state != "lost":
            pass
        assert state.report is None
    finally:
        if edge.process.poll() is None:
            edge.kill()
        watcher.stop()
