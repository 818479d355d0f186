"""Run the whole deployment on this machine, without containers: `python deploy/run_local.py FOLDER`; Ctrl-C stops it.

1. `earwitness-hub deployment create` writes FOLDER. If a previous run wrote it, this run uses it unchanged.
2. It starts Debian's Mosquitto (TLS, client certificates), Redis, Prometheus and Alertmanager from it, and a hub.
3. Two sensors, each with its own certificate, play the synthetic street.
4. It prints the addresses of all servers, then each alert that Alertmanager sends to its webhook, as JSON lines.

It needs: apt-get install mosquitto redis-server prometheus prometheus-alertmanager
"""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.deployment.layout import PORTS
from hub.runtime.embedded_servers import free_port

SENSORS: Final = ("demo/street-1", "demo/street-2")
READY_S: Final = 90.0
STOP_S: Final = 20.0
RULES: Final = Path(__file__).parent / "prometheus"


class Deployment:
    """Server processes, started in order and stopped in reverse order.

    Args:
        folder: written by `earwitness-hub deployment create`.
        ports: of all servers, by the names of `deployment create --port`.
    """

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder = folder
        self._ports = ports
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def addresses(self) -> dict[str, str]:
        """Return the addresses of all servers, and the folder."""
        pages = {name: f"http://127.0.0.1:{self._ports[name]}" for name in ("web", "prometheus", "alertmanager")}
        brokers = {f"mqtt_{name}": f"localhost:{self._ports[name]}" for name in ("sensors", "hubs")}
        return pages | brokers | {"redis": f"127.0.0.1:{self._ports['redis']}", "folder": str(self._folder)}

    def start(self, speed: float) -> None:
        """Start all servers, then the sensors.

        Args:
            speed: factor of real time at which the street plays.

        Raises:
            RuntimeError: a program is missing, ends or does not answer in time.
        """
        root, data, ports = self._folder, self._folder / "data", self._ports
        self._run("mosquitto", "-c", str(root / "mosquitto" / "mosquitto.conf"))
        self._run("redis-server", str(root / "redis" / "redis.conf"))
        self._run(
            "prometheus",
            f"--config.file={root / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={data / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
            "--enable-feature=exemplar-storage",
        )
        self._run(
            "prometheus-alertmanager",
            f"--config.file={root / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={data / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
            "--cluster.listen-address=",
        )
        for name in ("hubs", "sensors", "redis"):
            self._await(name, partial(_accepts, ports[name]))
        # A street that plays faster than real time begins in the past; its alerts must count as current.
        no_late_alerts = ("--set", "notify.late_after_s=1e9")
        self._run(
            sys.executable,
            "-m",
            "hub",
            "serve",
            "--config",
            str(root / "hub" / "hub.toml"),
            *no_late_alerts,
            name="hub",
        )
        for name, path in (("web", "healthz/ready"), ("prometheus", "-/ready"), ("alertmanager", "-/ready")):
            self._await(name, partial(_answers, f"http://127.0.0.1:{ports[name]}/{path}"))
        for sensor in SENSORS:
            self._sensor(sensor, speed)

    def stop(self) -> None:
        """Stop all processes, the last started first; kill those that do not end in time."""
        for name, process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                typer.echo(f"{name} does not end: killed", err=True)
                process.kill()
                process.wait()

    def watch(self) -> None:
        """Check that all processes run.

        Raises:
            RuntimeError: one has ended.
        """
        for name, process in self._running:
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended ({process.returncode}): see {self._log(name)}")

    def _sensor(self, sensor_key: str, speed: float) -> None:
        """Start a sensor whose folder is on this machine."""
        root, name = self._folder / "sensors" / sensor_key, sensor_key.replace("/", "-")
        settings = {
            "mqtt.ca_file": root / "servers.crt",
            "mqtt.cert_file": root / "sensor.crt",
            "mqtt.key_file": root / "sensor.key",
            "source.kind": "synthetic",
            "source.speed": speed,
            "spool.path": self._folder / "data" / f"{name}.db",
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        self._run(sys.executable, "-m", "edge", "run", "--config", str(root / "edge.toml"), *flags, name=name)

    def _run(self, program: str, *arguments: str, name: str | None = None) -> None:
        executable = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
        if executable is None:
            raise RuntimeError(f"{program} is not installed: apt-get install {program}")
        process_name = name or program
        with self._log(process_name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - programs of this deployment
                [executable, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append((process_name, process))

    def _log(self, name: str) -> Path:
        return self._folder / "data" / f"{name}.log"

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        pause = threading.Event()
        while not ready():
            self.watch()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer: see the logs in {self._folder / 'data'}")
            pause.wait(0.1)


@contextlib.contextmanager
def print_alerts_webhook(port: int) -> Iterator[None]:
    """Run a webhook on loopback that prints the alerts it receives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Print the alerts of one request of Alertmanager."""
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.end_headers()
            for alert in body.get("alerts", []):
                typer.echo(json.dumps({"receiver": body.get("receiver"), "alert": alert}))

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def create_deployment(folder: Path, ports: dict[str, int], webhook: int) -> None:
    """Write the folder with `earwitness-hub deployment create`, and add the rules that ship."""
    chosen = [part for name, port in ports.items() for part in ("--port", f"{name}={port}")]
    sensors = [part for sensor in SENSORS for part in ("--sensor", sensor)]
    webhook_option = ("--webhook", f"http://127.0.0.1:{webhook}/")
    command = [
        sys.executable,
        "-m",
        "hub",
        "deployment",
        "create",
        str(folder),
        "--broker",
        "localhost",
        *webhook_option,
        *chosen,
        *sensors,
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - our own program
    for rules in sorted(RULES.glob("*.yml")):
        shutil.copy(rules, folder / "prometheus" / "rules")


def up(
    folder: Annotated[Path, typer.Argument(help="folder of the deployment; a new one is created")],
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="use any free ports instead of the usual ones")
    ] = False,
    speed: Annotated[float, typer.Option(help="factor of real time at which the street plays")] = 10.0,
) -> None:
    """Start the whole deployment on this machine, print its addresses and alerts, and stop it at Ctrl-C."""
    folder = folder.absolute()
    ports_file = folder / "data" / "up.json"
    if not folder.exists():
        names = [*PORTS, "webhook"]
        usual = dict(PORTS) | {"webhook": 9095}
        ports = {name: free_port() for name in names} if free_ports else usual
        create_deployment(folder, {name: ports[name] for name in PORTS}, ports["webhook"])
        ports_file.write_text(json.dumps(ports))
    elif not ports_file.is_file():
        typer.echo(
            f"{folder} was not created by run_local.py, so its ports are unknown: start it as its NEXT.md describes",
            err=True,
        )
        raise typer.Exit(2)
    ports = json.loads(ports_file.read_text())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    deployment = Deployment(folder, ports)
    with print_alerts_webhook(ports["webhook"]):
        try:
            deployment.start(speed)
            typer.echo(json.dumps({"up": deployment.addresses()}))
            while not stop.wait(1.0):
                deployment.watch()
        except RuntimeError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
        finally:
            deployment.stop()
    typer.echo(json.dumps({"down": True}))


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback servers
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    typer.run(up)
