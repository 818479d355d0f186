"""deploy/proxy, by Debian's Caddy before a real hub with users: TLS, login, what the page does, and attacks.

Every attack is refused, counted by the hub, and in its log.
"""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from hub.domain.accounts import Role
from hub.store.accounts_file import AccountsFile
from hub.web.middleware import BODY_CAP_BYTES
from tests.accounts import PASSWORD, accounts, add_token, bearer
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import HubProcess, Rumqttd, Server, Valkey, accepts

pytestmark = pytest.mark.e2e

FILE = Path(__file__).parents[2] / "deploy" / "proxy" / "Caddyfile"
GLOBAL = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tservers"
OURS = {"X-Earwitness": "test"}


class Caddy(Server):
    """Debian's Caddy with our file, which has a certificate of an authority of its own."""

    def __init__(self, folder: Path, hubs: str) -> None:
        super().__init__(folder)
        self.executable = program("caddy")
        text = FILE.read_text().replace("{\n\tservers", GLOBAL).replace("read_body 2m", "read_body 1s")
        text = text.replace("\t@inside", "\ttls internal\n\t@inside", 1)
        (folder / "Caddyfile").write_text(text)
        self.environment = {
            **os.environ,
            "EARWITNESS_PAGE": f"https://localhost:{self.port}",
            "EARWITNESS_HUBS": hubs,
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
    tokens: dict[Role, str]
    file: AccountsFile

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.caddy.root)

    def client(self, role: Role | None = None) -> httpx.Client:
        headers = {**OURS, **(bearer(self.tokens[role]) if role else {})}
        url = f"https://localhost:{self.caddy.port}"
        return httpx.Client(base_url=url, headers=headers, verify=self.trust, timeout=20)

    def unfinished(self, role: Role | None = None) -> bytes:
        """The begin of an upload."""
        token = f"Authorization: Bearer {self.tokens[role]}\r\n" if role else ""
        return (
            f"POST /api/v1/search HTTP/1.1\r\nHost: localhost:{self.caddy.port}\r\nX-Earwitness: x\r\n{token}"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        ).encode()

    def refused(self, reason: str) -> float:
        """How many requests the hub counts as refused for a reason."""
        metrics = f"http://127.0.0.1:{self.hub.port}/metrics"
        text = httpx.get(metrics, headers=bearer(self.tokens["viewer"]), timeout=20).text
        (value,) = re.findall(rf'earwitness_hub_web_refusals_total{{reason="{reason}"}} (\S+)', text)
        return float(value)

    @contextmanager
    def refusing(self, reason: str, times: int = 1) -> Iterator[None]:
        """Expect that the hub refuses requests for a reason, counts and logs each."""
        log = self.hub.folder / "log"
        before, written = self.refused(reason), len(log.read_bytes())
        yield
        assert self.refused(reason) == before + times
        lines = [line for line in log.read_bytes()[written:].decode().splitlines() if "request refused" in line]
        assert len([line for line in lines if f"reason={reason}" in line or f'"reason": "{reason}"' in line]) == times
        assert all("127.0.0.1" in line for line in lines), lines


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxy")
    broker, store = Rumqttd(folder / "broker"), Valkey(folder / "store")
    users = folder / "users.json"
    tokens = accounts(users)
    hub = HubProcess(folder / "hub", broker.port, store.url, f"web.users_file={users}", "web.body_timeout_s=1.5")
    caddy = Caddy(folder / "caddy", f"127.0.0.1:{free_port()} 127.0.0.1:{hub.port}")
    for server in (broker, store, hub, caddy):
        server.start()
    yield Proxied(hub, caddy, tokens, AccountsFile(users))
    for server in (caddy, hub, store, broker):
        server.stop()


def test_the_file_as_it_is_holds_no_mistake(tmp_path: Path) -> None:
    subprocess.run(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(FILE)],
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("path", ["/", "/api/v1/alerts", "/api/v1/stream", "/docs", "/openapi.json", "/audit"])
def test_no_request_succeeds_without_a_token_or_login(proxied: Proxied, path: str) -> None:
    with proxied.refusing("login"), proxied.client() as client:
        assert client.get(path).status_code == 401


def test_with_a_login_the_page_and_the_api_are_there_and_metrics_are_not(proxied: Proxied) -> None:
    with proxied.client() as client:
        form = {"name": "ines", "password": PASSWORD}
        cookie = client.post("/login", data=form).headers["set-cookie"]
        assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
        page = client.get("/")
        assert "Earwitness" in page.text
        assert "ines, inspector" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert "max-age" in page.headers["strict-transport-security"]
        assert client.get("/api/v1/alerts").json()["alerts"] == []
        for path in ("/metrics", "/healthz", "/healthz/ready"):
            assert client.get(path).status_code == 404


def test_the_live_stream_comes_as_it_is_sent(proxied: Proxied) -> None:
    with proxied.client("viewer") as client, client.stream("GET", "/api/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_text())


def test_a_token_of_too_low_a_role_is_refused(proxied: Proxied) -> None:
    with proxied.refusing("role", 3), proxied.client("viewer") as client:
        assert client.get("/api/v1/export/events.csv").status_code == 403
        assert client.post("/api/v1/feedback", json={}).status_code == 403
        assert client.get("/audit").status_code == 403


def test_an_expired_token_is_refused(proxied: Proxied) -> None:
    expired = add_token(proxied.file, "expired", "admin", timedelta(seconds=-1))
    with proxied.refusing("credentials"), proxied.client() as client:
        assert client.get("/api/v1/alerts", headers=bearer(expired)).status_code == 401


def test_the_pages_own_forms_are_taken_and_those_of_other_sites_are_not(proxied: Proxied) -> None:
    with proxied.client("inspector") as client:
        del client.headers["X-Earwitness"]
        body = {"verdict": "same"}
        path = "/api/v1/alerts/demo.street-1.boot.1/feedback"
        own = client.post(path, json=body, headers={"Origin": str(client.base_url)})
        assert own.status_code == 404, "it was looked for, and there is no such alert"
        with proxied.refusing("origin", 3):
            for origin in ("https://elsewhere.example", "null", "http://localhost"):
                assert client.post(path, json=body, headers={"Origin": origin}).status_code == 403


def test_a_name_that_was_pointed_here_is_refused(proxied: Proxied) -> None:
    """DNS rebinding reaches the hub directly: TLS ends it at the proxy, which has no certificate for the name."""
    with proxied.refusing("host"):
        url = f"http://127.0.0.1:{proxied.hub.port}/api/v1/alerts"
        sent = {"Host": "rebound.example", **bearer(proxied.tokens["admin"])}
        assert httpx.get(url, headers=sent, timeout=30).status_code == 421
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", proxied.caddy.port)) as plain:
        proxied.trust.wrap_socket(plain, server_hostname="rebound.example")


def test_another_host_name_over_a_valid_connection_gets_nothing(proxied: Proxied) -> None:
    with proxied.client("admin") as client:
        answer = client.get("/api/v1/alerts", headers={"Host": "elsewhere.example"})
    assert answer.text == "", "the proxy serves its own name only"


@pytest.mark.parametrize(
    "path", ["/static/%2e%2e/%2e%2e/users.json", "/static/..%2f..%2fusers.json", "/api/v1/..%5cx"]
)
def test_a_path_that_leads_outside_is_refused(proxied: Proxied, path: str) -> None:
    with proxied.refusing("path"), proxied.client("admin") as client:
        url = client.base_url.copy_with(raw_path=path.encode())
        assert client.send(client.build_request("GET", url)).status_code == 404


def test_an_upload_that_is_too_large_is_refused(proxied: Proxied) -> None:
    large = bytes(BODY_CAP_BYTES + 1)
    with proxied.refusing("size"), proxied.client("viewer") as client:
        files = {"recording": ("large.wav", large, "audio/wav")}
        assert client.post("/api/v1/search", files=files).status_code == 413


def test_an_upload_that_never_ends_is_refused_by_the_hub(proxied: Proxied) -> None:
    with proxied.refusing("slow"), socket.create_connection(("127.0.0.1", proxied.hub.port), timeout=20) as link:
        link.sendall(proxied.unfinished("viewer"))
        assert link.recv(100).startswith(b"HTTP/1.1 408 ")


def test_uploads_that_never_end_are_ended_by_the_proxy_and_affect_no_other_client(proxied: Proxied) -> None:
    with (
        socket.create_connection(("127.0.0.1", proxied.caddy.port), timeout=20) as plain,
        proxied.trust.wrap_socket(plain, server_hostname="localhost") as link,
    ):
        link.sendall(proxied.unfinished())
        while link.recv(1_000):
            pass  # until the proxy ends the connection
    with proxied.client("viewer") as client:
        assert client.get("/api/v1/alerts").status_code == 200


def test_a_password_is_not_guessed(proxied: Proxied) -> None:
    with proxied.client() as client, proxied.refusing("credentials", 10):
        guesses = [client.post("/login", data={"name": "ines", "password": f"guess {n}"}) for n in range(10)]
        assert {answer.status_code for answer in guesses} == {401}
    with proxied.client() as client, proxied.refusing("attempts", 2):
        for stated in ({}, {"X-Forwarded-For": "203.0.113.9"}):
            last = client.post("/login", data={"name": "ines", "password": PASSWORD}, headers=stated)
            assert last.status_code == 429, "the proxy states the address, whatever the client states"
            assert int(last.headers["retry-after"]) > 0
