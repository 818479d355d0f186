"""A gap that the kill of a real sensor made is in the report with its reason."""

import csv
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis

from hub.app.factory import build_stores
from hub.evidence.contents import Period
from hub.evidence.verification import verify
from hub.runtime.embedded_servers import Servers
from hub.store.delivery_ledger import DeliveryLedger
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from shared.level_series import LevelSeries
from shared.messages.codec import decode_json
from shared.messages.sensor import StateMessage
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_STATES
from tests.hub.evidence.street import reports_of, settings_of
from tests.server_processes import EdgeProcess, Mosquitto, eventually, write_embeddings

pytestmark = [pytest.mark.e2e, pytest.mark.redis]

PLACE = "demo/sensor-1"


@contextmanager
def states_kept(broker: Mosquitto, archive: EventStore) -> Iterator[None]:
    """Keep the states of sensors as the pipeline of a hub does."""
    link, stop = MqttSession(broker.settings, "watcher"), threading.Event()
    link.start()
    assert isinstance(link.signals.get(timeout=10), Connected)
    link.subscribe(ALL_STATES)

    def keep() -> None:
        while not stop.is_set():
            signal = link.signals.get()
            if isinstance(signal, Received):
                if signal.payload:
                    archive.sensors.update_state(decode_json(StateMessage, signal.payload))
                link.acknowledge(signal)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        link.stop()


def test_the_gap_of_a_killed_sensor_has_its_reason(tmp_path: Path, mosquitto: Mosquitto, embedded: Servers) -> None:
    redis.Redis.from_url(embedded.redis_url).flushall()
    settings = settings_of(embedded.redis_url, tmp_path)
    stores = build_stores(settings)
    archive = stores.events
    ledger = DeliveryLedger(archive.client, archive.rows)
    source = ("source.kind=embeddings", f"source.path={write_embeddings(tmp_path / 'e.npz', 20)}", "source.loop=true")

    def reached(count: int) -> bool:
        return len({(row.boot, row.state) for row in ledger.rows(PLACE)}) >= count

    began_s = int(time.time()) // 60 * 60 - 600
    with states_kept(mosquitto, archive):
        first = EdgeProcess(tmp_path / "edge", mosquitto.port, *source)
        try:
            eventually(lambda: reached(1), 30, "the sensor is ready")
        finally:
            first.kill()
        eventually(lambda: reached(2), 30, "its connection broke")
        killed_s = int(time.time())
        second = EdgeProcess(tmp_path / "edge", mosquitto.port, *source)
        try:
            eventually(lambda: reached(3), 30, "it is there again")
        finally:
            again_s = int(time.time()) + 1
            second.kill()
    end_s = again_s // 60 * 60 + 60
    for boot, start_s, until_s in (("one", began_s, killed_s), ("two", again_s, end_s)):
        tenths = np.full((until_s - start_s, 3), 600, dtype=np.int16)
        series = LevelSeries("demo", "sensor-1", boot, datetime.fromtimestamp(start_s, UTC), tenths)
        LevelStore(archive.client, archive.rows).add_many([series], datetime.now(UTC))
    start, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (began_s, end_s))
    period = Period.between(start, end, end + timedelta(minutes=1), ZoneInfo("UTC"))
    reports_of(settings, stores).write(PLACE, period, end, "a test", tmp_path / "r.zip")
    assert verify(tmp_path / "r.zip").findings == ()
    with zipfile.ZipFile(tmp_path / "r.zip") as report:
        rows = list(csv.DictReader(io.StringIO(report.read("coverage.csv").decode(), newline="")))
    (gap,) = [row for row in rows if row["kind"] == "levels"]
    assert (gap["reason"], gap["missing_s"]) == ("ended", str(again_s - killed_s))
    assert gap["start"] == datetime.fromtimestamp(killed_s, UTC).isoformat()
    archive.close()
