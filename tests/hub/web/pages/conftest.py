import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hub.store.levels import LevelStore
from shared.level_series import LevelSeries
from tests.hub.web.pages.browsing import page_of
from tests.programs import program
from tests.running_hub import Demo, demo

EVENTS = 5_200

expect.set_options(timeout=20_000)  # milliseconds; a page may take more than the usual five seconds on a busy machine


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with weeks of two neighbourhoods, which only a browser looks at."""
    program("chromium")
    with demo(tmp_path_factory.mktemp("city"), EVENTS) as running:
        assert running.archive.count() >= 5_000
        LevelStore(running.archive.client, running.archive.rows).add_many(list(_levels_of_a_day()), datetime.now(UTC))
        yield running


def _levels_of_a_day() -> Iterator[LevelSeries]:
    """Levels of every second since midnight UTC and of the day before, with a gap of six hours in each day."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    rng = np.random.default_rng(1)
    for minute in range(int((now - midnight).total_seconds()) // 60):
        if not 8 * 60 <= minute % 1_440 < 14 * 60:
            laeq = 550 + 80 * np.sin(minute / 200) + rng.normal(0, 20, 60)
            tenths = np.stack([laeq, laeq + 60, laeq + 90], axis=1).astype(np.int16)
            yield LevelSeries("harbour", "quay", "b", midnight + timedelta(minutes=minute), tenths, "dB")


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
