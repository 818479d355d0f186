"""The whole deployment on this machine: sensors in, an alert out of Alertmanager's webhook, and nothing left after.

`deployment` is it, running, with its addresses; further tests of what runs (such as dashboards' queries) use it too.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.expressions import EMPTY, drawn, listed
from tests.programs import program
from tests.server_processes import accepts, eventually

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
UP_S = 90.0


SOON = {
    "MONITORING__HEARTBEAT_INTERVAL_S": "2",
    "MONITORING__INTERVAL_S": "1",
    "MONITORING__DRIFT_INTERVAL_S": "1",
    "MONITORING__DRIFT_MIN_EVENTS": "20",
    "SEARCH__RECALL_SAMPLE_RATE": "1",
}
"""What usually takes minutes or days, so that a test sees it."""
_FAST = "drift is of what was captured by now, and these sensors play twenty times faster: test_metrics asks for it"
SLOW = {
    "max(earwitness_model_match_probability_psi)": _FAST,
    **{
        f'earwitness:model_{what}_psi{{reference="{against}"}}': _FAST
        for what in ("presence", "embedding")
        for against in ("deployment", "training")
    },
}


@dataclass
class Deployment:
    """A running deployment.

    Attributes:
        process: `deploy/run_local.py`.
        printed: the file it prints to: where everything is, then every alert that came out of Alertmanager.
        addresses: `web`, `prometheus` and `alertmanager` as URLs; `mqtt_sensors`, `mqtt_hubs` and `redis` as
            host:port; `folder`.
    """

    process: subprocess.Popen[bytes]
    printed: Path
    addresses: dict[str, str]

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self.printed.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]

    def webhook_alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager sent its webhook."""
        return [line for line in self.lines() if "alert" in line]

    def json(self, server: str, path: str, **parameters: str) -> Any:
        """What a server answers."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.addresses[server]}{path}{query}", timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def query(self, promql: str) -> list[dict[str, Any]]:
        """What Prometheus finds."""
        return list(self.json("prometheus", "/api/v1/query", query=promql)["data"]["result"])

    def ports(self) -> list[int]:
        return [int(one.rsplit(":", 1)[1]) for name, one in self.addresses.items() if name != "folder"]

    def ask_often(self) -> None:
        """Have Prometheus look at its targets and rules every two seconds, not every fifteen, from now on."""
        file = Path(self.addresses["folder"]) / "prometheus" / "prometheus.yml"
        text = file.read_text()
        assert text.count("_interval: 15s") == 2
        file.write_text(text.replace("_interval: 15s", "_interval: 2s"))
        (pid,) = (pid for pid, command in self._running() if command.split()[0].endswith("prometheus"))
        os.kill(pid, signal.SIGHUP)

    def processes(self) -> list[str]:
        """The command lines of whatever runs from the folder, wherever it was started."""
        return [command for _, command in self._running()]

    def _running(self) -> list[tuple[int, str]]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended
                continue
            if self.addresses["folder"] in command and entry.parent.name != str(os.getpid()):
                found.append((int(entry.parent.name), command))
        return found


def require_servers() -> None:
    """Declare the programs that `deploy/run_local.py` starts."""
    program("mosquitto")
    program("redis-server")
    program("prometheus")
    program("prometheus-alertmanager")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Broker with TLS, store, hub, Prometheus, Alertmanager and two sensors; taken down at the end."""
    require_servers()
    place = tmp_path_factory.mktemp("up")
    printed, log = place / "printed", place / "log"
    options = ("--free-ports", "--speed", "20")
    command = [sys.executable, str(ROOT / "deploy" / "run_local.py"), str(place / "noise"), *options]
    with printed.open("wb") as out, log.open("wb") as errors:
        quick = {**os.environ, **{f"EARWITNESS_HUB_{name}": value for name, value in SOON.items()}}
        # Drift is of what was captured by now: sensors begin in the past, so that this is enough at once.
        quick["EARWITNESS_EDGE_SOURCE__START_TIME"] = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
        quick["EARWITNESS_EDGE_SOURCE__BACKFILLED"] = "false"  # it counts as news all the same
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=quick)
    running = Deployment(process, printed, {})

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        return any("up" in line for line in running.lines())

    try:
        eventually(is_up, UP_S, f"the deployment is up; see {log}")
        running.addresses = running.lines()[0]["up"]
        running.ask_often()
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(120)


def test_sensors_deliver_and_an_alert_comes_out_of_alertmanager(deployment: Deployment) -> None:
    eventually(lambda: bool(deployment.webhook_alerts()), 60, "Alertmanager sent its webhook an alert")
    (first, *_) = deployment.webhook_alerts()
    assert first["receiver"] == "inspectors"
    labels = first["alert"]["labels"]
    assert labels["alertname"] == "SimilarPastEvents"
    assert labels["site"] == "demo"
    assert labels["sensor"] in {"street-1", "street-2"}
    page = first["alert"]["annotations"]["page"]
    assert page.startswith(deployment.addresses["web"])
    with urllib.request.urlopen(page, timeout=30) as answer:  # noqa: S310 - our own hub
        assert answer.status == 200
    assert deployment.json("web", "/healthz")["ok"]


def test_prometheus_finds_all_its_targets_up(deployment: Deployment) -> None:
    jobs = {"earwitness-hub", "prometheus", "alertmanager"}
    eventually(lambda: {one["metric"]["job"] for one in deployment.query("up == 1")} == jobs, 45, "targets are up")
    eventually(
        lambda: any(float(one["value"][1]) > 0 for one in deployment.query("earwitness_hub_events_archived_total")),
        45,
        "the hub's metrics arrive",
    )
    managers = deployment.json("prometheus", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert len(managers) == 1


def test_every_question_of_the_dashboards_has_an_answer(deployment: Deployment) -> None:
    eventually(lambda: bool(deployment.webhook_alerts()), 60, "there is an alert to answer")
    (alert, *_) = deployment.json("web", "/api/v1/alerts", limit="1")["alerts"]
    stated = httpx.post(
        f"{deployment.addresses['web']}/api/v1/alerts/{alert['event']}/feedback",
        json={"verdict": "same"},
        headers={"X-Earwitness": "test"},
        timeout=30,
    )
    assert stated.status_code == 201, stated.text
    asked = {one.of("demo", "street-1") for one in (*drawn(), *listed()) if one.expr not in EMPTY | SLOW}
    unanswered: set[str] = set()

    def all_answered() -> bool:
        unanswered.clear()
        unanswered.update(expr for expr in asked if not deployment.query(expr))
        return not unanswered

    try:
        eventually(all_answered, 90, "all are answered")
    except AssertionError:
        pytest.fail(f"without an answer: {sorted(unanswered)}")


@pytest.mark.parametrize("who", ["hub", "sensor"])
def test_it_is_reported_when_certificates_end(deployment: Deployment, who: str) -> None:
    year_s = 365 * 86_400
    left = f"earwitness_{who}_certificate_expiry_timestamp_seconds - time() > {year_s}"
    eventually(lambda: bool(deployment.query(left)), 45, "certificates that last")


def test_the_brokers_rights_let_heartbeats_through_and_refuse_no_client(deployment: Deployment) -> None:
    eventually(
        lambda: bool(deployment.query("earwitness_hub_last_heartbeat_timestamp_seconds > 0")),
        45,
        "a heartbeat came back",
    )
    data = Path(deployment.addresses["folder"]) / "data"
    for log in ("hub.log", "demo-street-1.log", "demo-street-2.log"):
        assert "refuse" not in (data / log).read_text()


def test_both_checks_are_content_with_it(deployment: Deployment) -> None:
    folder = Path(deployment.addresses["folder"])
    hub = [sys.executable, "-m", "hub", "check", "--json", "--config", str(folder / "hub" / "hub.toml")]
    webhook_alerts = json.loads(subprocess.run(hub, capture_output=True, text=True, check=True, timeout=60).stdout)
    words = {finding["name"]: finding["text"] for finding in webhook_alerts["checks"]}
    assert "2 sensors have sent their state" in words["broker"]
    own = folder / "sensors" / "demo" / "street-1"
    files = {"ca_file": "servers.crt", "cert_file": "sensor.crt", "key_file": "sensor.key"}
    settings = {f"mqtt.{name}": own / file for name, file in files.items()}
    settings["spool.path"] = folder / "data" / "demo-street-1.db"  # which its agent holds
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    flags += ["--set", "source.kind=synthetic"]
    edge = [sys.executable, "-m", "edge", "check", "--config", str(own / "edge.toml"), *flags]
    ran = subprocess.run(edge, capture_output=True, text=True, check=False, timeout=60)
    failed = [line for line in ran.stdout.splitlines() if re.match(r"\w+: failed", line)]
    assert len(failed) == 1, ran.stdout
    assert "another agent is using it" in failed[0]
    assert "lets demo/street-1 publish" in ran.stdout


def test_at_the_end_it_goes_down_and_leaves_nothing(deployment: Deployment) -> None:
    """The last of this module's tests: what follows would find nothing."""
    assert len(deployment.processes()) > 5
    assert all(accepts(port) for port in deployment.ports())
    deployment.process.send_signal(signal.SIGTERM)
    assert deployment.process.wait(60) == 0
    assert deployment.lines()[-1] == {"down": True}
    assert deployment.processes() == []
    assert [port for port in deployment.ports() if accepts(port)] == []


def test_a_folder_that_up_did_not_begin_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    command = [sys.executable, str(ROOT / "deploy" / "run_local.py"), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert str(tmp_path) in ran.stderr
    assert "NEXT.md" in ran.stderr


def test_what_cannot_be_started_takes_down_what_was(tmp_path: Path) -> None:
    require_servers()
    command = [sys.executable, str(ROOT / "deploy" / "run_local.py"), str(tmp_path / "noise"), "--free-ports"]
    broken = {**os.environ, "EARWITNESS_HUB_INGEST__MAX_IN_FLIGHT": "none"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env=broken)
    assert ran.returncode == 1
    assert "hub has ended (2): see" in ran.stderr
    gone = Deployment(subprocess.Popen(["true"]), tmp_path, {"folder": str(tmp_path / "noise")})
    gone.process.wait()
    assert gone.processes() == []
