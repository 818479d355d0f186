"""Real sensors before brokers with limits, on bad lines, on full disks and without a microphone."""

import json
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.diagnostics import run_checks
from edge.settings import EdgeSettings
from edge.spool import Spool
from shared.messages.codec import decode_json
from shared.messages.event import decode_event
from shared.messages.sensor import SensorReport, StateMessage
from shared.settings import load_settings
from tests.brokers import Behaviour, FaultyBroker
from tests.edge.test_metrics_endpoint import listener
from tests.server_processes import EdgeProcess, Mosquitto, eventually, write_embeddings

pytestmark = pytest.mark.e2e


@pytest.fixture
def faulty() -> Iterator[Callable[[Behaviour], FaultyBroker]]:
    made: list[FaultyBroker] = []

    def make(behaviour: Behaviour) -> FaultyBroker:
        made.append(FaultyBroker(behaviour))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


def recordings(folder: Path, loud: int, count: int = 6) -> Path:
    """Quiet clips, and one of noise, which is many times as large."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        amplitude = 0.5 if number == loud else 0.001
        soundfile.write(folder / f"{number}.wav", amplitude * rng.uniform(-1, 1, 220_500), 22_050)
    return folder


def reports(broker: FaultyBroker) -> list[SensorReport]:
    states = [decode_json(StateMessage, payload) for payload in broker.payloads("/state")]
    return [state.report for state in states if state.report is not None]


def seqs(broker: FaultyBroker) -> list[int]:
    return [decode_event(payload).id.seq for payload in broker.payloads("/event")]


def play_files(folder: Path, port: int, source: Path, *settings: str) -> EdgeProcess:
    return EdgeProcess(
        folder,
        port,
        *("source.kind=files", f"source.path={source}", "source.speed=1e5", "sensor.report_interval_s=1"),
        *settings,
    )


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize("states_reason", [True, False])
def test_a_clip_over_the_brokers_limit_is_set_aside_and_the_others_go_on(
    tmp_path: Path, faulty: Callable[[Behaviour], FaultyBroker], reported: bool, states_reason: bool
) -> None:
    broker = faulty(Behaviour(maximum_packet=300_000, reported=reported, states_reason=states_reason))
    edge = play_files(tmp_path / "edge", broker.port, recordings(tmp_path / "clips", loud=2))
    summary = edge.finish()
    assert (summary["captured"], summary["spooled"], summary["set_aside"]) == (6, 0, 1)
    assert sorted(set(seqs(broker))) == [0, 1, 3, 4, 5]
    assert broker.connections <= (1 if reported else 6), "no storm of connections"
    assert reports(broker)[-1].set_aside == 1
    assert "set aside" in edge.log.read_text()
    spool = Spool(tmp_path / "edge" / "spool.db", 10**9)
    (aside,) = spool.all_aside()
    assert aside.size_bytes > 300_000
    spool.close()


def test_what_is_set_aside_goes_out_once_the_broker_takes_more(
    tmp_path: Path, faulty: Callable[[Behaviour], FaultyBroker]
) -> None:
    small = faulty(Behaviour(maximum_packet=300_000))
    clips = recordings(tmp_path / "clips", loud=0, count=2)
    assert play_files(tmp_path / "edge", small.port, clips).finish()["set_aside"] == 1
    large = faulty(Behaviour())
    summary = play_files(tmp_path / "edge", large.port, clips).finish()
    assert (summary["spooled"], summary["set_aside"]) == (0, 0)
    assert len(set(large.payloads("/event"))) >= 3


def test_mosquittos_own_limit_is_kept(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    with (broker.folder / "mosquitto.conf").open("a") as file:
        file.write("max_packet_size 300000\n")
    broker.start()
    link = listener(broker)
    clips = recordings(tmp_path / "clips", loud=2)
    try:
        summary = play_files(tmp_path / "edge", broker.port, clips).finish()
        assert (summary["published"], summary["set_aside"]) == (5, 1)
        settings = load_settings(
            EdgeSettings,
            None,
            [f"mqtt.port={broker.port}", f"spool.path={tmp_path / 'edge' / 'spool.db'}", "source.rate_hz=48000"],
        )
        found = {one.what: one for one in run_checks(settings)}
        assert "at most 300,000 bytes" in found["broker"].words
        assert "1 are set aside" in found["spool"].words
    finally:
        link.stop()
        broker.stop()


def test_a_broker_that_takes_few_messages_at_a_time_is_not_overrun(
    tmp_path: Path, faulty: Callable[[Behaviour], FaultyBroker]
) -> None:
    broker = faulty(Behaviour(receive_maximum=2))
    data = write_embeddings(tmp_path / "e.npz", 30)
    edge = EdgeProcess(
        tmp_path / "edge", broker.port, "source.kind=embeddings", f"source.path={data}", "source.speed=1e5"
    )
    assert edge.finish()["published"] == 30
    assert broker.connections == 1


def test_two_sensors_of_one_name_are_reported_and_take_over_less_and_less_often(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    link = listener(mosquitto)
    data = write_embeddings(tmp_path / "e.npz", 20)
    common = ("source.kind=embeddings", f"source.path={data}", "source.loop=true", "mqtt.max_reconnect_delay_s=60")
    twins = [EdgeProcess(tmp_path / name, mosquitto.port, *common) for name in ("one", "two")]
    try:
        for twin in twins:
            log = twin.log
            eventually(lambda log=log: "another client uses this name" in log.read_text(), 60, "reported")  # type: ignore[misc]
        twins[1].process.send_signal(signal.SIGTERM)
        twins[1].finish()
        overrides = (f"mqtt.port={mosquitto.port}", f"spool.path={tmp_path / 'two' / 'spool.db'}")
        found = {one.what: one for one in run_checks(load_settings(EdgeSettings, None, overrides))}
        assert "another client used this sensor's name" in found["spool"].words
    finally:
        for twin in twins:
            twin.kill()
        link.stop()


def test_check_notices_that_another_client_has_the_name(tmp_path: Path, mosquitto: Mosquitto) -> None:
    link = listener(mosquitto)
    data = write_embeddings(tmp_path / "e.npz", 20)
    common = ("source.kind=embeddings", f"source.path={data}", "source.loop=true")
    other = EdgeProcess(tmp_path / "other", mosquitto.port, *common)
    try:
        log = tmp_path / "mosquitto" / "log"
        eventually(lambda: "earwitness-edge-demo-sensor-1" in log.read_text(), 30, "it is connected")
        overrides = (f"mqtt.port={mosquitto.port}", f"spool.path={tmp_path / 'mine' / 'spool.db'}")
        broker = next(one for one in run_checks(load_settings(EdgeSettings, None, overrides)) if one.what == "broker")
        assert not broker.ok
        assert "another client uses this name (demo/sensor-1)" in broker.words
    finally:
        other.kill()
        link.stop()


def test_a_missing_microphone_is_reported_while_the_backlog_goes_out(
    tmp_path: Path, faulty: Callable[[Behaviour], FaultyBroker]
) -> None:
    """This machine has no microphone of that name; the spool holds what a run before it captured."""
    broker = faulty(Behaviour())
    data = write_embeddings(tmp_path / "e.npz", 10)
    embeddings = ("source.kind=embeddings", f"source.path={data}", "source.speed=1e5")
    first = EdgeProcess(tmp_path / "edge", 1, *embeddings)
    eventually(lambda: "source ended" in first.log.read_text(), 30, "all is captured")
    first.process.send_signal(signal.SIGTERM)
    assert first.finish()["spooled"] == 10
    edge = EdgeProcess(
        *(tmp_path / "edge", broker.port, "source.kind=microphone", "source.device=nowhere"),
        "sensor.report_interval_s=1",
    )
    try:
        eventually(lambda: sorted(seqs(broker)) == list(range(10)), 30, "the backlog is delivered")
        eventually(lambda: any(one.source_failure for one in reports(broker)), 30, "it is reported")
        last = reports(broker)[-1]
        assert last.source_failure is not None
        assert last.previous_seq == 9
        edge.process.send_signal(signal.SIGTERM)
        assert edge.finish()["captured"] == 0
    finally:
        edge.kill()


def test_a_disk_that_takes_nothing_more_stops_no_publishing(
    tmp_path: Path, faulty: Callable[[Behaviour], FaultyBroker]
) -> None:
    """The kernel lets no file of the agent grow from some moment on, as on a full disk."""
    # PortAudio's JACK makes a database in /dev/shm; if it cannot grow, every later start of PortAudio takes a minute.
    subprocess.run([sys.executable, "-c", "import sounddevice"], check=False, capture_output=True)
    broker = faulty(Behaviour())
    data = write_embeddings(tmp_path / "e.npz", 20)
    edge = EdgeProcess(
        tmp_path / "edge",
        1,
        *("source.kind=embeddings", f"source.path={data}", "source.loop=true", "source.speed=1000"),
    )
    spool = tmp_path / "edge" / "spool.db"
    eventually(lambda: spool.exists() and spool.stat().st_size > 10**6, 60, "it fills")
    edge.kill()
    before = Spool(spool, 10**9)
    waiting = before.pending()
    before.close()
    assert waiting > 100
    edge = EdgeProcess(
        tmp_path / "edge",
        broker.port,
        *("source.kind=microphone", "source.device=nowhere", "spool.resend_window_s=1"),
    )
    resource.prlimit(edge.process.pid, resource.RLIMIT_FSIZE, (4_096, 4_096))
    try:
        eventually(lambda: len(set(broker.payloads("/event"))) == waiting, 60, "all is published")
        broker.cut()
        eventually(lambda: broker.connections >= 2, 30, "it goes on")
        assert edge.process.poll() is None
    finally:
        edge.kill()


class Line:
    """A TCP proxy whose connections end after a while, and that carries few bytes in a second."""

    def __init__(self, port: int, *, lives_s: float, bytes_per_s: float) -> None:
        self._target, self._lives_s, self._bytes_per_s = port, lives_s, bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self._target))
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            ends = threading.Timer(self._lives_s, self._end, (near, far))
            ends.daemon = True
            ends.start()
            threading.Thread(target=self._carry, args=(near, far, self._bytes_per_s), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, 1e9), daemon=True).start()

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for one in ends:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _carry(self, source: socket.socket, to: socket.socket, bytes_per_s: float) -> None:
        try:
            while part := source.recv(4_096):
                time.sleep(len(part) / bytes_per_s)
                to.sendall(part)
        except OSError:
            pass
        self._end(source, to)


def test_a_line_with_short_connections_delivers_every_clip_soon(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """Twenty times as fast as life: connections of 2 s for 40, a line that carries ten times what is recorded."""
    arrived: dict[str, float] = {}
    link = listener(mosquitto, lambda event: arrived.setdefault(str(event.id), time.time()))
    clip_bytes = 1_280 + 300
    line = Line(mosquitto.port, lives_s=2.0, bytes_per_s=10 * 2 * clip_bytes)
    data = write_embeddings(tmp_path / "e.npz", 60)
    edge = EdgeProcess(
        tmp_path / "edge",
        line.port,
        *("source.kind=embeddings", f"source.path={data}", "source.speed=20", "spool.resend_window_s=3"),
    )
    summary = edge.finish()
    eventually(lambda: len(arrived) == 60, 20, "the listener has all")
    link.stop()
    line.stop()
    assert (summary["captured"], summary["spooled"], summary["set_aside"]) == (60, 0, 0)
    assert line.connections >= 10
    assert summary["published"] < 60 * 4, "repeats do not pile up"


def test_a_page_damaged_on_the_card_costs_the_events_on_it(tmp_path: Path, mosquitto: Mosquitto) -> None:
    link = listener(mosquitto)
    data = write_embeddings(tmp_path / "e.npz", 100)
    embeddings = ("source.kind=embeddings", f"source.path={data}", "source.speed=1e5")
    first = EdgeProcess(tmp_path / "edge", 1, *embeddings)
    eventually(lambda: "source ended" in first.log.read_text(), 30, "all is captured")
    first.process.send_signal(signal.SIGTERM)
    assert first.finish()["spooled"] == 100
    path = tmp_path / "edge" / "spool.db"
    db = sqlite3.connect(path)
    pages = [number for (number,) in db.execute("SELECT pageno FROM dbstat WHERE name = 'clip' AND ncell > 1")]
    db.close()
    content = bytearray(path.read_bytes())
    at = (pages[len(pages) // 2] - 1) * 4_096
    content[at : at + 4_096] = b"\xa5" * 4_096
    path.write_bytes(content)
    second = EdgeProcess(tmp_path / "edge", mosquitto.port, *embeddings)
    summary = second.finish()
    link.stop()
    assert 190 <= summary["published"] < 200
    (line,) = [one for one in second.log.read_text().splitlines() if "spool damaged" in one]
    assert "kept=" in line


def test_a_year_that_cannot_be_is_reported_at_the_start(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "edge", "run", "--set", "source.start_time=9999-12-31T23:59:59Z"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "start_time must be in the years 1970 to 2199" in ran.stderr
    assert json.dumps(ran.stderr).count("\\n") == 1
