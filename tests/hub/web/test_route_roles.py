"""The table of routes and roles is the application's, route by route."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from hub.domain.accounts import ROLES
from hub.web.gate import SAFE
from hub.web.route_roles import ROUTE_RULES, methods_of, rule_of

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    made: Any = runpy.run_path(str(DOCS / "make_openapi.py"))["app"]()
    assert isinstance(made, FastAPI)
    return made


def routes_of(app: FastAPI) -> set[str]:
    found = set()
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):
            found.add(f"GET {route.original_route.path}/{{path:path}}")
        else:
            found |= {f"{method} {route.path}" for method in route.methods or () if method != "HEAD"}
    return found


def test_every_route_has_its_row_and_every_row_its_route(app: FastAPI) -> None:
    assert len(routes_of(app)) > 60
    assert routes_of(app) == set(ROUTE_RULES)


def test_a_change_needs_more_than_a_viewer_and_is_in_the_audit_log() -> None:
    searches = {"POST /search", "POST /api/v1/search", "POST /login", "POST /logout"}
    changes = {route: rule for route, rule in ROUTE_RULES.items() if route.split()[0] not in SAFE} | {}
    for route in changes.keys() - searches:
        rule = changes[route]
        assert rule.role is not None, route
        assert rule.role != "viewer", route
        assert rule.audit in {"changed", "erased"}, route


def test_sound_and_exports_need_an_inspector_and_are_in_the_audit_log() -> None:
    for route, rule in ROUTE_RULES.items():
        if "audio" in route or "/export/" in route:
            assert rule.role == "inspector", route
            assert rule.audit in {"played", "exported"}, route


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", "viewer"),
        ("HEAD", "/alerts", "viewer"),
        ("GET", "/api/v1/events/demo.street-1.b.1/audio", "inspector"),
        ("GET", "/api/v1/sensors/demo/street-1/commands", "operator"),
        ("GET", "/audit", "admin"),
    ],
)
def test_a_request_gets_the_role_of_its_row(method: str, path: str, role: str) -> None:
    rule = rule_of(method, path)
    assert rule is not None
    assert rule.role == role
    assert role in ROLES


@pytest.mark.parametrize(
    "path", ["/audit\n", "/audit/", "//audit", "/Audit", "/api/v1/events/a/b/audio", "/static", "/none"]
)
def test_a_path_that_is_no_row_has_no_rule(path: str) -> None:
    assert rule_of("GET", path) is None


def test_the_methods_of_a_path_are_those_of_its_rows() -> None:
    assert methods_of("/api/v1/names/5f2c81a0") == ["DELETE", "GET", "PATCH"]
    assert rule_of("PUT", "/api/v1/names/5f2c81a0") is None
