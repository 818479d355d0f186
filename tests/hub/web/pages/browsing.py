"""Steps that the browser tests share: read the API, open pages, and check that all users can read one."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.running_hub import Demo

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
every_display = pytest.mark.parametrize(
    ("size", "scheme"), [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
)


def got(hub: Demo, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{hub.url}/api/v1/{path}", timeout=30) as answer:  # noqa: S310 - our own hub
        return dict(json.load(answer))


@contextmanager
def page_of(chromium: Browser, hub: Demo) -> Iterator[Page]:
    """A desk's browser at a hub; what it complains of fails the test."""
    width, height = SIZES["desk"]
    context = chromium.new_context(base_url=hub.url, viewport={"width": width, "height": height})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(hub.url) else None)
    yield opened
    context.close()
    assert not complaints


def assert_readable(chromium: Browser, hub: Demo, path: str, size: str, scheme: str, screenshot: Path) -> None:
    """Open a page on a display, keep a picture of it, and fail if it is too wide or hard to read for some users."""
    width, height = SIZES[size]
    context = chromium.new_context(
        base_url=hub.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        bypass_csp=True,  # for axe alone, which is put into the page
    )
    page = context.new_page()
    page.goto(path)
    expect(page.locator("h1")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in {"serious", "critical"}
    ]
    page.screenshot(path=screenshot, full_page=True)
    context.close()
    assert not serious
