"""Run the whole deployment here, without containers: `python deploy/run_local.py FOLDER`; Ctrl-C takes it down.

1. `earwitness-hub deployment create` writes FOLDER, unless this program did so before: then it is started as it is.
2. Debian's Mosquitto (TLS, client certificates), Redis, Prometheus and Alertmanager are started from it, and a hub.
3. Two sensors with certificates of their own play the synthetic street.
4. What Alertmanager tells its webhook is printed, one JSON object per line; the first line says where everything is.

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
    """Processes in the order of their start; they are stopped in the opposite one.

    Args:
        folder: what `earwitness-hub deployment create` wrote.
        ports: of all servers, by the names that `init --port` knows.
    """

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder = folder
        self._ports = ports
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def addresses(self) -> dict[str, str]:
        """Where everything is."""
        pages = {name: f"http://127.0.0.1:{self._ports[name]}" for name in ("web", "prometheus", "alertmanager")}
        brokers = {f"mqtt_{name}": f"localhost:{self._ports[name]}" for name in ("sensors", "hubs")}
        return pages | brokers | {"redis": f"127.0.0.1:{self._ports['redis']}", "folder": str(self._folder)}

    def start(self, speed: float) -> None:
        """Start everything; return once sensors are let go.

        Args:
            speed: how much faster than life the street is.

        Raises:
            RuntimeError: a program is missing, ends or does not answer in time.
        """
        own, data, ports = self._folder, self._folder / "data", self._ports
        self._run("mosquitto", "-c", str(own / "mosquitto" / "mosquitto.conf"))
        self._run("redis-server", str(own / "redis" / "redis.conf"))
        self._run(
            "prometheus",
            f"--config.file={own / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={data / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
            "--enable-feature=exemplar-storage",
        )
        self._run(
            "prometheus-alertmanager",
            f"--config.file={own / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={data / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
            "--cluster.listen-address=",
        )
        for name in ("hubs", "sensors", "redis"):
            self._await(name, partial(_accepts, ports[name]))
        # A street that is faster than the clock begins in the past, and its alerts are to be seen all the same.
        news = ("--set", "notify.late_after_s=1e9")
        self._run(sys.executable, "-m", "hub", "serve", "--config", str(own / "hub" / "hub.toml"), *news, name="hub")
        for name, path in (("web", "healthz/ready"), ("prometheus", "-/ready"), ("alertmanager", "-/ready")):
            self._await(name, partial(_answers, f"http://127.0.0.1:{ports[name]}/{path}"))
        for sensor in SENSORS:
            self._sensor(sensor, speed)

    def stop(self) -> None:
        """Stop everything, the last started first; kill what does not end in time."""
        for name, process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                typer.echo(f"{name} does not end: killed", err=True)
                process.kill()
                process.wait()

    def watch(self) -> None:
        """Look whether all still run.

        Raises:
            RuntimeError: one does not.
        """
        for name, process in self._running:
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended ({process.returncode}): see {self._log(name)}")

    def _sensor(self, place: str, speed: float) -> None:
        """A sensor whose folder is here instead of on a device of its own."""
        own, name = self._folder / "sensors" / place, place.replace("/", "-")
        settings = {
            "mqtt.ca_file": own / "servers.crt",
            "mqtt.cert_file": own / "sensor.crt",
            "mqtt.key_file": own / "sensor.key",
            "source.kind": "synthetic",
            "source.speed": speed,
            "spool.path": self._folder / "data" / f"{name}.db",
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        self._run(sys.executable, "-m", "edge", "run", "--config", str(own / "edge.toml"), *flags, name=name)

    def _run(self, program: str, *arguments: str, name: str | None = None) -> None:
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
        if found is None:
            raise RuntimeError(f"{program} is not installed: apt-get install {program}")
        called = name or program
        with self._log(called).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - programs of this deployment
                [found, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append((called, process))

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
    """A webhook on loopback that prints the alerts it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take what Alertmanager tells."""
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.end_headers()
            for alert in body.get("alerts", []):
                typer.echo(json.dumps({"receiver": body.get("receiver"), "alert": alert}))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def create_deployment(folder: Path, ports: dict[str, int], webhook: int) -> None:
    """Have `earwitness-hub deployment create` write the folder, and add the rules that ship."""
    chosen = [part for name, port in ports.items() for part in ("--port", f"{name}={port}")]
    sensors = [part for sensor in SENSORS for part in ("--sensor", sensor)]
    told_at = ("--webhook", f"http://127.0.0.1:{webhook}/")
    command = [
        sys.executable,
        "-m",
        "hub",
        "deployment",
        "create",
        str(folder),
        "--broker",
        "localhost",
        *told_at,
        *chosen,
        *sensors,
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - our own program
    for rules in sorted(RULES.glob("*.yml")):
        shutil.copy(rules, folder / "prometheus" / "rules")


def up(
    folder: Annotated[
        Path, typer.Argument(help="where everything is kept; made by `earwitness-hub deployment create` if new")
    ],
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="any free ports instead of the usual ones")
    ] = False,
    speed: Annotated[float, typer.Option(help="how much faster than life the street is")] = 10.0,
) -> None:
    """Start the whole deployment here, print where it is and which alerts it tells, and take it down at Ctrl-C."""
    folder = folder.absolute()
    remembered = folder / "data" / "up.json"
    if not folder.exists():
        names = [*PORTS, "webhook"]
        usual = dict(PORTS) | {"webhook": 9095}
        ports = {name: free_port() for name in names} if free_ports else usual
        create_deployment(folder, {name: ports[name] for name in PORTS}, ports["webhook"])
        remembered.write_text(json.dumps(ports))
    elif not remembered.is_file():
        typer.echo(f"{folder} was not begun by run_local.py, which knows no ports of it: see NEXT.md there", err=True)
        raise typer.Exit(2)
    ports = json.loads(remembered.read_text())
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
