"""The first look at `earwitness-hub demo`, in a real browser: what a newcomer sees once the history is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.demonstration import Demonstration

pytestmark = pytest.mark.browser

PAGES = ("/", "/alerts", "/patterns", "/map", "/sensors")
README_BYTES = 300_000
"""Most that a picture in the README may have."""


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    running = Demonstration(tmp_path_factory.mktemp("demo"))
    running.until("Ctrl-C ends everything")
    yield running
    running.close()


@pytest.fixture
def look(chromium: Browser, demonstration: Demonstration) -> Iterator[Page]:
    """A desk's browser at the demo."""
    context = chromium.new_context(
        base_url=demonstration.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    yield page
    context.close()


def alerts(demonstration: Demonstration, severity: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = demonstration.get(f"alerts?limit=100&severity={severity}")["alerts"]
    return found


@pytest.mark.parametrize("severity", ["recurring", "urgent"])
def test_there_are_alerts_that_matter(look: Page, demonstration: Demonstration, severity: str) -> None:
    assert alerts(demonstration, severity)
    look.goto(f"/alerts?severity={severity}")
    expect(look.locator("article.alert").first).to_contain_text(severity.capitalize())
    look.goto("/")
    expect(look.get_by_role("heading", name="Expected next")).to_be_visible()


def test_an_alert_shows_real_sound_and_plays_it(look: Page, demonstration: Demonstration, screenshots: Path) -> None:
    jackhammer = next(a for a in alerts(demonstration, "urgent") if "machinery-impact" in a["categories"])
    look.goto(f"/alerts/{jackhammer['event']}")
    assert look.locator("li.pair").count() == len(jackhammer["matches"]) > 0
    assert drawn(look) >= 1 + len(jackhammer["matches"])
    assert demonstration.get(f"events/{jackhammer['event']}")["audio"]
    played_s = look.evaluate(
        """async () => {
            const audio = document.querySelector("audio");
            audio.muted = true;
            await audio.play();
            await new Promise(done => { audio.ontimeupdate = () => audio.currentTime > 0.2 && done(); });
            audio.pause();
            return audio.readyState >= 2 ? audio.currentTime : 0;
        }"""
    )
    assert played_s > 0.2
    look.reload()
    drawn(look)
    picture(look, screenshots / "alert.png", 1_420)


def test_a_pattern_states_when_to_be_there(look: Page, demonstration: Demonstration, screenshots: Path) -> None:
    pattern = demonstration.get("patterns/demo/street-1/machinery-impact")
    assert pattern["next"]
    assert pattern["regularity"].startswith("weekdays around 07:")
    assert demonstration.get("patterns/demo/street-4/powered-saw")["regularity"].startswith("every other night")
    look.goto("/patterns/demo/street-1/machinery-impact")
    expect(look.get_by_role("heading", name="Expected next")).to_be_visible()
    picture(look, screenshots / "pattern.png", 980)


def test_nothing_is_shown_as_an_alarm(look: Page) -> None:
    look.goto("/sensors")
    expect(look.locator("main")).to_contain_text("All 4 are online")
    expect(look.locator("main .bad")).to_have_count(0)
    look.goto("/map")
    for number in range(4):
        expect(look.locator("main")).to_contain_text(f"street-{number + 1}")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_looked_at(
    chromium: Browser, demonstration: Demonstration, screenshots: Path, width: int, height: int, scheme: str
) -> None:
    context = chromium.new_context(
        base_url=demonstration.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    for path in PAGES:
        page.goto(path)
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=screenshots / f"demo{path.replace('/', '-')}-{width}-{scheme}.png", full_page=True)
    context.close()


def test_links_that_are_printed_open(look: Page, demonstration: Demonstration) -> None:
    page, *links = dict.fromkeys(demonstration.links)
    assert len(links) == 4
    for link in (page, *links):
        answer = look.goto(link)
        assert answer is not None
        assert answer.ok


def drawn(page: Page) -> int:
    """Load every picture of a page; how many there are."""
    return int(
        page.evaluate(
            """async () => {
                for (const image of document.images) image.loading = "eager";
                await Promise.all([...document.images].map(image => image.decode()));
                return [...document.images].filter(image => image.naturalWidth > 0).length;
            }"""
        )
    )


def picture(page: Page, path: Path, height: int) -> None:
    """A picture of the top of a page, small enough for the README; `docs/images` holds copies."""
    page.set_viewport_size({"width": 1100, "height": height})
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)
    assert path.stat().st_size <= README_BYTES
