import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.hub.web.pages.browsing import page_of
from tests.programs import program
from tests.running_hub import Demo, demo

EVENTS = 5_200


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with weeks of two neighbourhoods, which only a browser looks at."""
    program("chromium")
    with demo(tmp_path_factory.mktemp("city"), EVENTS) as running:
        assert running.archive.count() >= 5_000
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    executable = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    named = os.environ.get("EARWITNESS_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(chromium: Browser, city: Demo) -> Iterator[Page]:
    """A desk's browser at the hub; what it complains of fails the test."""
    with page_of(chromium, city) as opened:
        yield opened
