"""deploy/proxy, by Debian's Caddy before a real hub: a login, TLS, and all that the page does, through it."""

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.runtime.embedded_servers import free_port
from tests.programs import program
from tests.server_processes import HubProcess, Rumqttd, Server, Valkey, accepts

pytestmark = pytest.mark.e2e

FILE = Path(__file__).parents[2] / "deploy" / "proxy" / "Caddyfile"
GLOBAL = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
LOGIN = ("inspector", "a password")


class Caddy(Server):
    """Debian's Caddy with our file, which has a certificate of an authority of its own."""

    def __init__(self, folder: Path, hubs: str) -> None:
        super().__init__(folder)
        self.executable = program("caddy")
        made = subprocess.run(
            [self.executable, "hash-password", "--plaintext", LOGIN[1]], capture_output=True, text=True, check=True
        )
        (folder / "users").write_text(f"{LOGIN[0]} {made.stdout.strip()}\n")
        inside = FILE.read_text().replace("} {\n\tbasicauth", "} {\n\ttls internal\n\tbasicauth")
        (folder / "Caddyfile").write_text(GLOBAL + inside)
        self.environment = {
            **os.environ,
            "EARWITNESS_PAGE": f"https://localhost:{self.port}",
            "EARWITNESS_HUBS": hubs,
            "EARWITNESS_USERS": str(folder / "users"),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }

    def command(self) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *variables, self.executable, "run", "--config", str(self.folder / "Caddyfile")]

    def ready(self) -> bool:
        return self.root.exists() and accepts(self.port) and self._has_certificate()

    def _has_certificate(self) -> bool:
        """Whether it has made its certificate, which it does after it began to listen."""
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
                ssl.create_default_context(cafile=self.root).wrap_socket(plain, server_hostname="localhost"),
            ):
                return True
        except OSError:
            return False

    @property
    def root(self) -> Path:
        return self.folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"


@dataclass(frozen=True, slots=True)
class Proxied:
    """A hub behind the proxy."""

    hub: HubProcess
    caddy: Caddy

    def client(self, login: tuple[str, str] | None = LOGIN) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.caddy.root)
        return httpx.Client(base_url=f"https://localhost:{self.caddy.port}", auth=login, verify=trust, timeout=20)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxy")
    broker, store = Rumqttd(folder / "broker"), Valkey(folder / "store")
    hub = HubProcess(folder / "hub", broker.port, store.url)
    caddy = Caddy(folder / "caddy", f"127.0.0.1:{free_port()} 127.0.0.1:{hub.port}")
    for server in (broker, store, hub, caddy):
        server.start()
    yield Proxied(hub, caddy)
    for server in (caddy, hub, store, broker):
        server.stop()


def test_the_file_as_it_is_holds_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("inspector JDJhJDE0JC5vSlYuTkJCVXVNVmVjSnpoSWpVdC4=\n")
    subprocess.run(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(FILE)],
        env={**os.environ, "EARWITNESS_USERS": str(tmp_path / "users"), "XDG_DATA_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("path", ["/", "/api/v1/alerts", "/api/v1/stream", "/docs", "/healthz", "/metrics"])
@pytest.mark.parametrize("login", [None, ("inspector", "another"), ("stranger", "a password")])
def test_no_request_succeeds_without_a_login(proxied: Proxied, path: str, login: tuple[str, str] | None) -> None:
    with proxied.client(login) as client:
        assert client.get(path).status_code == 401


def test_with_a_login_the_page_and_the_api_are_there_and_metrics_are_not(proxied: Proxied) -> None:
    with proxied.client() as client:
        page = client.get("/")
        assert "Earwitness" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert "max-age" in page.headers["strict-transport-security"]
        assert client.get("/api/v1/alerts").json()["alerts"] == []
        assert client.get("/metrics").status_code == 404


def test_the_pages_own_forms_are_taken_and_those_of_other_sites_are_not(proxied: Proxied) -> None:
    with proxied.client() as client:
        for origin, answer in ((str(client.base_url), 404), ("https://elsewhere.example", 403)):
            stated = client.post(
                "/api/v1/alerts/demo.street-1.boot.1/feedback", json={"verdict": "same"}, headers={"Origin": origin}
            )
            assert stated.status_code == answer, "404: it was looked for, and there is no such alert"


def test_the_live_stream_comes_as_it_is_sent(proxied: Proxied) -> None:
    with proxied.client() as client, client.stream("GET", "/api/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_text())
