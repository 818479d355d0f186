"""Every address of a hub that answers GET, as far as it needs no id of its own."""

import urllib.error
import urllib.request
from typing import Final

PAGES: Final = (
    "/",
    "/alerts",
    "/events",
    "/limits",
    "/map",
    "/names",
    "/patterns",
    "/search",
    "/sensors",
    "/settings",
    "/sources",
    "/docs",
)
DATA: Final = (
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/api/v1/events",
    "/api/v1/episodes",
    "/api/v1/alerts",
    "/api/v1/feedback",
    "/api/v1/names",
    "/api/v1/sources",
    "/api/v1/exceedances",
    "/api/v1/limits",
    "/api/v1/sensors",
    "/api/v1/sites/demo/thresholds",
    "/api/v1/export/events.csv",
    "/api/v1/export/alerts.jsonl",
    "/api/v1/export/exceedances.csv",
    "/api/v1/export/feedback.csv",
)


def answer(url: str, *, accept: str = "*/*") -> tuple[int, str]:
    """Status and body of one address."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - a hub of the test
    try:
        with urllib.request.urlopen(request, timeout=30) as got:  # noqa: S310
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def broken(base: str) -> dict[str, int]:
    """Addresses that do not answer with 200, and their status."""
    found = {path: answer(base + path, accept="text/html")[0] for path in PAGES}
    found |= {path: answer(base + path)[0] for path in DATA}
    return {path: code for path, code in found.items() if code != 200}
