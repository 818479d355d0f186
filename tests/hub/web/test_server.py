"""Under which names and parameters a running hub answers."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from hub.diagnostics import run_checks
from hub.settings import HubSettings
from shared.settings import load_settings
from tests.accounts import accounts, bearer
from tests.running_hub import Demo
from tests.server_processes import HubProcess, Rumqttd, Valkey

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Named:
    """A hub with users, and a token of it."""

    hub: HubProcess
    token: str

    @property
    def users(self) -> str:
        """The setting that names its users."""
        return self.hub.settings[-1]

    def asked(self, path: str, host: str, address: str = "127.0.0.1") -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, self.hub.port, timeout=20)
        connection.request("GET", path, headers={"Host": host, **bearer(self.token)})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    """A hub on both families, known by further names."""
    folder = tmp_path_factory.mktemp("names")
    broker, store = Rumqttd(folder / "broker"), Valkey(folder / "store")
    names = ("web.host=[::]", 'web.allowed_hosts=["hub"]', "web.public_url=https://noise.example.org")
    users = folder / "users.json"
    token = accounts(users)["viewer"]
    hub = HubProcess(folder / "hub", broker.port, store.url, *names, f"web.users_file={users}")
    for server in (broker, store, hub):
        server.start()
    yield Named(hub, token)
    for server in (hub, store, broker):
        server.stop()


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/v1/events", "/docs", "/static/page.js"])
def test_a_page_of_another_site_that_leads_here_reads_nothing(named: Named, path: str) -> None:
    status, body = named.asked(path, "rebound.example:8080")
    assert status == 421
    assert "web.allowed_hosts" in json.loads(body)["detail"]
    assert "rebound" not in body


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/v1/events"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}", "10.1.2.3:{}", "hub:{}", "noise.example.org"]
)
def test_people_probes_and_prometheus_are_answered(named: Named, path: str, host: str) -> None:
    assert named.asked(path, host.format(named.hub.port))[0] == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_hub_that_listens_on_all_addresses_is_reached_by_both_families(named: Named, address: str) -> None:
    assert named.asked("/healthz", "localhost", address)[0] == 200


@pytest.mark.parametrize("host", ["::1", "::", "[::1]", "localhost"])
def test_check_tries_and_finds_a_hub_on_addresses_of_ipv6(named: Named, host: str) -> None:
    settings = load_settings(HubSettings, None, [f"web.host={host}", "web.port=0", named.users])
    (web,) = [finding for finding in run_checks(settings) if finding.name == "web"]
    assert web.ok, web.text
    running = load_settings(HubSettings, None, [f"web.host={host}", f"web.port={named.hub.port}", named.users])
    (web,) = [finding for finding in run_checks(running) if finding.name == "web"]
    assert web.ok, web.text
    assert "a hub is running" in web.text


def test_unknown_parameters_are_refused_in_words(web: Demo) -> None:
    with httpx.Client(base_url=web.url, timeout=20) as client:
        for path in (
            "/alerts?sinc=2026-01-01",
            "/api/v1/alerts?sinc=x&limit=3",
            "/api/v1/sensors?x=1",
            "/?site=demo",
        ):
            answer = client.get(path)
            assert answer.status_code == 422, path
            assert "unknown parameters" in answer.json()["detail"]
        detail = client.get("/api/v1/events?sinc=x").json()["detail"]
        assert detail.startswith("unknown parameters 'sinc'; known are after, backfilled, category, clock")
        page = client.get("/alerts?sinc=x", headers={"Accept": "text/html"})
        assert page.status_code == 422
        assert "unknown parameters &#39;sinc&#39;; known are after" in page.text
        for path in ("/alerts?site=&category=music&severity=urgent", "/metrics?name[]=up", "/healthz?from=probe"):
            assert client.get(path).status_code == 200, path
