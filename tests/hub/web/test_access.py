"""Login, roles, API tokens and the audit log, on the web application of a hub with users; no model, no broker."""

import re
import runpy
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.app.hub import Hub
from hub.domain.accounts import ROLES, Identity, Role
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings
from hub.store.accounts_file import AccountsFile
from hub.store.audit_log import AuditLog
from hub.store.client import connect
from hub.web.access import COOKIE, author_of, require_users, set_identity
from hub.web.api import stream
from hub.web.middleware import BODY_CAP_BYTES
from hub.web.server import Server
from shared.errors import InvalidError
from shared.settings import load_settings
from tests.accounts import PASSWORD, accounts, add_token, add_user, bearer
from tests.ports import free_port

DOCS = Path(__file__).parents[3] / "docs"
OURS = {"X-Earwitness": "test"}
PAGE = {"Accept": "text/html"}
_addresses = (f"198.51.100.{n}" for n in count(1))


@dataclass(frozen=True, slots=True)
class Site:
    """The web application of a hub with users, served."""

    url: str
    file: AccountsFile
    tokens: dict[Role, str]
    audit: AuditLog

    def client(self, role: Role | None = None, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """A client of an address of its own, as a proxy states it; with the token of a role."""
        token = bearer(self.tokens[role]) if role else {}
        sent = {"X-Forwarded-For": next(_addresses), **OURS, **token, **(headers or {})}
        return httpx.Client(base_url=self.url, headers=sent, timeout=20)

    def refused(self, reason: str) -> float:
        """How many requests were refused for a reason."""
        with self.client("viewer") as client:
            families = text_string_to_metric_families(client.get("/metrics").text)
        return next(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "earwitness_hub_web_refusals_total" and sample.labels["reason"] == reason
        )


@pytest.fixture(scope="module")
def site(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("accounts") / "users.json"
    tokens = accounts(path)
    client = connect(embedded.redis_url, 5)
    client.flushall()
    port = free_port()
    overrides = [f"redis.url={embedded.redis_url}", f"web.users_file={path}", f"web.port={port}"]
    settings = load_settings(HubSettings, None, [*overrides, "web.body_timeout_s=1.5"])
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    server = Server(app, "127.0.0.1", port, settings.web.trusted_proxies)
    server.start()
    yield Site(f"http://127.0.0.1:{port}", AccountsFile(path), tokens, AuditLog(client, "hub-1", timedelta(days=1)))
    server.stop()


def login(client: httpx.Client, name: str = "ines", password: str = PASSWORD, **form: str) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password, **form})


@pytest.mark.parametrize("path", ["/api/v1/alerts", "/api/v1/stream", "/metrics", "/openapi.json", "/none", "/"])
def test_a_program_without_a_token_is_refused(site: Site, path: str) -> None:
    before = site.refused("login")
    with site.client() as client:
        answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert site.refused("login") == before + 1


def test_a_browser_without_a_login_is_sent_to_the_form_and_back(site: Site) -> None:
    with site.client(headers=PAGE) as client:
        sent = client.get("/alerts?site=&category=music")
        assert sent.status_code == 303
        assert sent.headers["location"] == "/login?next=/alerts%3Fsite%3D%26category%3Dmusic"
        form = client.get(sent.headers["location"])
        assert 'value="/alerts?site=&amp;category=music"' in form.text
        assert "Main" not in form.text, "no list of pages before the login"
        back = login(client, next="/alerts?site=&category=music")
        assert (back.status_code, back.headers["location"]) == (303, "/alerts?site=&category=music")
        page = client.get("/alerts?site=&category=music")
        assert page.status_code == 200
        assert "ines, inspector" in page.text
        assert "/settings" not in page.text


@pytest.mark.parametrize("path", ["/healthz", "/healthz/live", "/static/style.css", "/favicon.ico", "/login"])
def test_probes_and_the_form_need_no_login(site: Site, path: str) -> None:
    with site.client() as client:
        assert client.get(path).status_code in {200, 503}


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_the_cookie_is_for_this_site_and_its_server_only(site: Site, scheme: str, *, secure: bool) -> None:
    with site.client(headers={"X-Forwarded-Proto": scheme}) as client:
        cookie = login(client).headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=lax", "Max-Age=43200"} <= set(cookie.split("; "))
    assert ("Secure" in cookie.split("; ")) is secure


def test_a_wrong_name_and_a_wrong_password_have_one_answer(site: Site) -> None:
    before = site.refused("credentials")
    with site.client() as client:
        wrong = [login(client, "ines", "another password"), login(client, "a stranger", PASSWORD)]
    assert [answer.status_code for answer in wrong] == [401, 401]
    one, other = (re.sub(r"<time .*?</time>", "", answer.text) for answer in wrong)  # each states when it was made
    assert one == other
    assert "set-cookie" not in wrong[0].headers
    assert site.refused("credentials") == before + 2
    entries, _ = site.audit.entries(limit=2, action="refused")
    assert [entry.what for entry in entries] == ["login of an unknown name", "login of ines"]


def test_a_login_is_not_guessed_by_many_attempts(site: Site) -> None:
    before = site.refused("attempts")
    with site.client() as client:
        answers = [login(client, f"name-{n}", "a guess") for n in range(10)]
        assert {answer.status_code for answer in answers} == {401}
        last = login(client)
        assert last.status_code == 429
        assert 0 < int(last.headers["retry-after"]) <= 300
    with site.client() as client:
        assert login(client).status_code == 303, "another address is not affected"
    assert site.refused("attempts") == before + 1


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example/", "/\t/evil.example"])
def test_a_login_leads_to_no_other_site(site: Site, target: str) -> None:
    with site.client() as client:
        assert login(client, next=target).headers["location"] == "/"


def test_a_session_ends_by_logout_and_when_user_or_password_change(site: Site) -> None:
    add_user(site.file, "otto", "viewer")
    with site.client() as client:
        login(client, "otto")
        session = client.cookies[COOKIE]
        assert client.get("/alerts").status_code == 200
        assert client.post("/logout").status_code == 303
        assert COOKIE not in client.cookies
        client.cookies.set(COOKIE, session)
        assert client.get("/alerts").status_code == 401, "a copy of the cookie does not work either"
    with site.client() as client:
        login(client, "otto")
        assert client.get("/settings").status_code == 403
        user = site.file.read().existing_user("otto")
        with site.file.change() as draft:
            draft.accounts = draft.accounts.with_changed_user(user.model_copy(update={"role": "operator"}))
        assert client.get("/settings").status_code == 200, "a role applies at once"
        with site.file.change() as draft:
            draft.accounts = draft.accounts.without_user("otto")
        assert client.get("/alerts").status_code == 401
        add_user(site.file, "otto", "operator")
        assert client.get("/alerts").status_code == 401, "a new password ends earlier sessions"
    with site.file.change() as draft:
        draft.accounts = draft.accounts.without_user("otto")


@pytest.mark.parametrize("by", ["session", "token"])
def test_a_live_stream_ends_when_its_session_or_token_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(stream, "_HEARTBEAT_S", 0.1)
    headers = bearer(add_token(site.file, "screen", "viewer")) if by == "token" else {}
    with site.client(headers=headers) as client:
        if by == "session":
            login(client)
        with client.stream("GET", "/api/v1/stream") as answer:
            lines = answer.iter_lines()
            assert any(line == ": still here" for line in lines), "a client that may go on is served"
            if by == "session":
                with site.client(headers={"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}) as other:
                    other.post("/logout")
            else:
                with site.file.change() as draft:
                    draft.accounts = draft.accounts.without_token("screen")
            assert set(lines) <= {"", ": still here"}, "the stream ends"


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/api/v1/alerts", "viewer"),
        ("GET", "/api/v1/export/events.csv", "inspector"),
        ("GET", "/api/v1/events/a.b.c.1/audio", "inspector"),
        ("POST", "/api/v1/alerts/a.b.c.1/feedback", "inspector"),
        ("DELETE", "/api/v1/names/00000000", "operator"),
        ("GET", "/settings", "operator"),
        ("GET", "/audit", "admin"),
    ],
)
def test_a_role_may_do_its_own_and_no_more(site: Site, method: str, path: str, needed: Role) -> None:
    for role in ROLES:
        with site.client(role) as client:
            answer = client.request(method, path)
        refused = ROLES.index(role) < ROLES.index(needed)
        assert (answer.status_code == 403) is refused, (role, answer.text)
        if refused:
            assert answer.json()["detail"] == f"this needs the role {needed}; yours is {role}"


def test_a_refusal_of_a_page_is_a_page(site: Site) -> None:
    with site.client("viewer", PAGE) as client:
        answer = client.get("/settings")
    assert answer.status_code == 403
    assert "<h1>Not allowed</h1>" in answer.text


def test_a_token_that_is_unknown_changed_expired_or_revoked_is_refused(site: Site) -> None:
    before = site.refused("credentials")
    good = add_token(site.file, "short", "admin")
    expired = add_token(site.file, "expired", "admin", timedelta(seconds=-1))
    with site.client() as client:
        assert client.get("/audit", headers=bearer(good)).status_code == 200
        with site.file.change() as draft:
            draft.accounts = draft.accounts.without_token("short")
        for text in (good, expired, site.tokens["admin"] + "x", site.tokens["admin"][:-1], "ewt_", "ünknown"):
            headers = [(b"authorization", b"Bearer " + text.encode())]
            assert client.get("/api/v1/alerts", headers=headers).status_code == 401, text
    assert site.refused("credentials") == before + 6


def test_exports_logins_and_changes_are_in_the_audit_log_and_failures_are_not(site: Site) -> None:
    with site.client("inspector") as client:
        client.get("/api/v1/export/events.csv?place=demo/street-1")
        client.get("/api/v1/export/events.pdf")
        client.get("/api/v1/events/a.b.c.1/audio")
    entries, _ = site.audit.entries(limit=1_000, who="token:inspector", action="exported")
    assert entries[0].what == "GET /api/v1/export/events.csv?place=demo/street-1"
    assert entries[0].address.startswith("198.51.100.")
    assert site.audit.entries(limit=1_000, who="token:inspector", action="played") == ([], "")
    with site.client() as client:
        login(client)
        client.post("/logout")
    entries, _ = site.audit.entries(limit=2, who="ines")
    assert [(entry.action, entry.hub) for entry in entries] == [("logout", "hub-1"), ("login", "hub-1")]
    with site.client("admin", PAGE) as client:
        page = client.get("/audit?who=token:inspector&action=exported")
    assert "export/events.csv?place=demo/street-1" in page.text


def test_an_unknown_path_and_method_are_answered_to_those_who_are_known(site: Site) -> None:
    with site.client("admin") as client:
        assert client.get("/none").status_code == 404
        answer = client.put("/api/v1/names/00000000")
        assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PATCH")
        assert client.get("/alerts/").status_code == 404


@pytest.mark.parametrize("path", ["/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%5chub"])
def test_a_path_that_leads_outside_is_refused(site: Site, path: str) -> None:
    before = site.refused("path")
    with site.client("admin") as client:
        url = httpx.URL(site.url).copy_with(raw_path=path.encode())
        answer = client.send(client.build_request("GET", url))
    assert answer.status_code == 404
    assert site.refused("path") == before + 1


def begun(site: Site, path: str, length: int, headers: Mapping[str, str]) -> bytes:
    """The first bytes of the answer to a request of which one byte of the body arrives, and no more."""
    lines = {"Host": "localhost", "X-Earwitness": "x", "Content-Length": str(length), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection(("127.0.0.1", httpx.URL(site.url).port or 0), timeout=20) as raw:
        raw.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\nx".encode())
        return raw.recv(13)


def test_a_body_that_is_too_large_or_too_slow_is_refused(site: Site) -> None:
    def large() -> Iterator[bytes]:
        for _ in range(BODY_CAP_BYTES // 2**20 + 2):
            yield bytes(2**20)

    slow_before, large_before = site.refused("slow"), site.refused("size")
    form = {"Content-Type": "application/json"}
    assert begun(site, "/api/v1/search", 2, {**form, **bearer(site.tokens["viewer"])}) == b"HTTP/1.1 408 "
    assert begun(site, "/login", 2**30, {}) == b"HTTP/1.1 413 "
    assert site.refused("slow") == slow_before + 1
    assert site.refused("size") == large_before + 1
    assert begun(site, "/api/v1/search", 2, form) == b"HTTP/1.1 401 ", "before the body is read"
    with site.client("viewer", form) as client:
        assert client.post("/api/v1/search", content=large()).status_code == 413


def test_a_change_from_another_site_is_refused_with_a_session_as_well(site: Site) -> None:
    before = site.refused("origin")
    with site.client() as client:
        login(client)
        del client.headers["X-Earwitness"]
        for origin in ("https://evil.example", "null", ""):
            answer = client.post("/api/v1/feedback", json={}, headers={"Origin": origin})
            assert answer.status_code == 403
        own = client.post("/api/v1/feedback", json={}, headers={"Origin": site.url})
        assert own.status_code == 422, "it was read"
    assert site.refused("origin") == before + 3


def test_pages_that_other_machines_reach_need_a_user(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    for host in ("127.0.0.1", "::1", "localhost"):
        require_users(host, None)
    for host in ("0.0.0.0", "::", "192.0.2.1", "hub"):  # noqa: S104
        with pytest.raises(InvalidError, match=r"set web\.users_file .* earwitness-hub users add"):
            require_users(host, None)
    with pytest.raises(InvalidError, match=r"has no user.*earwitness-hub users add"):
        require_users("127.0.0.1", path)
    add_user(AccountsFile(path), "ada", "admin")
    require_users("::", path)
    with pytest.raises(InvalidError, match=r"web\.host \[::\] is not loopback"):
        Hub(load_settings(HubSettings, None, ["web.host=::"]))


def test_the_author_of_a_verdict_is_the_user_not_the_stated_name() -> None:
    scope: dict[str, Any] = {}
    assert author_of(scope, "stated") == "stated"
    set_identity(scope, Identity("ines", "inspector"))
    assert author_of(scope, "stated") == "ines"


def test_a_proxy_before_a_hub_without_users_is_refused(embedded: Servers) -> None:
    port = free_port()
    settings = load_settings(HubSettings, None, [f"redis.url={embedded.redis_url}", f"web.port={port}"])
    app: Any = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    server = Server(app, "127.0.0.1", port, settings.web.trusted_proxies)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        assert client.get("/api/v1/alerts").status_code == 200
        assert client.get("/login").headers["location"] == "/"
        answer = client.get("/api/v1/alerts", headers={"X-Forwarded-For": "198.51.100.7"})
    server.stop()
    assert answer.status_code == 403
    assert "web.users_file" in answer.json()["detail"]
