"""A person names a sound, sees it return live, and mutes it: in a real browser, at a real hub, over a real broker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from shared.feature_space import Features
from shared.synthetic_features import splice_clips
from tests.hub.web.pages.browsing import assert_readable, every_display, got, page_of
from tests.programs import program
from tests.running_hub import Demo, demo, publish_event

pytestmark = pytest.mark.browser

LIVE_MS = 15_000


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with two days of two neighbourhoods, which these tests alone change."""
    program("chromium")
    with demo(tmp_path_factory.mktemp("street"), 700, days=2) as running:
        yield running


@pytest.fixture(scope="module")
def example(street: Demo) -> dict[str, Any]:
    """The event with sound with the highest presence."""
    events = got(street, "events?limit=500")["events"]
    return dict(max((e for e in events if e["audio"]), key=lambda e: max(e["presence"].values())))


@pytest.fixture
def page(chromium: Browser, street: Demo) -> Iterator[Page]:
    with page_of(chromium, street) as opened:
        yield opened


def performance(street: Demo, event: str, seed: int) -> Features:
    """Another rendering of an event's sound: what a sensor sends when the same source sounds again."""
    known = street.archive.fetch([event])[0]
    made: Features = splice_clips(known.features[None], 1, np.random.default_rng(seed))[0]
    return made


def alerts_of(street: Demo, name: str) -> list[str]:
    return [alert["event"] for alert in got(street, "alerts?limit=50")["alerts"] if alert["name"] == name]


def test_a_sound_is_named_seen_to_return_live_and_muted(
    page: Page, street: Demo, example: dict[str, Any], screenshots: Path
) -> None:
    page.goto(f"/events/{example['id']}")
    page.get_by_label("Name", exact=True).fill("  Bakery   saw ")
    page.get_by_label("At all sites").check()
    page.get_by_role("button", name="Name and watch").click()
    expect(page.locator("h1")).to_contain_text("Bakery saw")
    expect(page.locator("aside")).to_contain_text("one of its examples")
    expect(page.locator("aside .tag.watched")).to_be_visible()
    page.screenshot(path=screenshots / "named-event.png", full_page=True)

    page.goto("/")
    expect(page.get_by_role("status").first).to_contain_text("Live")
    page.evaluate("window.stayed = true")
    first = publish_event(street, "schanze/roof", performance(street, example["id"], 1), 1)
    alert = page.locator(f"#alerts article:has(a[href='/alerts/{first}'])")
    expect(alert).to_contain_text("Bakery saw, detected again", timeout=LIVE_MS)
    expect(alert).to_contain_text("Recurring")
    expect(page.locator(f"#events tr:has(a[href='/events/{first}'])")).to_contain_text("Bakery saw", timeout=LIVE_MS)
    assert page.evaluate("window.stayed") is True
    second = publish_event(street, "harbour/fish-hall", performance(street, example["id"], 2), 2)
    expect(page.locator(f"#alerts a[href='/alerts/{second}']").first).to_be_visible(timeout=LIVE_MS)
    page.screenshot(path=screenshots / "named-returned.png", full_page=True)

    page.goto(f"/alerts/{first}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bakery saw, detected again")
    expect(page.locator("main")).to_contain_text("which is watched")
    page.get_by_role("link", name="Bakery saw").click()
    expect(page.locator("article.named")).to_contain_text("2 times in 2 clips")
    assert page.evaluate(
        """async () => {
            const audio = document.querySelector("article.named audio");
            audio.muted = true;
            await audio.play();
            return audio.duration;
        }"""
    ) == pytest.approx(10.0, abs=0.1)
    page.get_by_role("button", name="Mute").click()
    expect(page.locator("article.named .tag")).to_have_text("Muted")

    page.goto("/")
    expect(page.get_by_role("status").first).to_contain_text("Live")
    third = publish_event(street, "schanze/school", performance(street, example["id"], 3), 3)
    expect(page.locator(f"#events tr:has(a[href='/events/{third}'])")).to_contain_text("Bakery saw", timeout=LIVE_MS)
    assert alerts_of(street, "Bakery saw") == [second, first]
    expect(page.locator(f"#alerts a[href='/alerts/{third}']")).to_have_count(0)
    page.goto("/names")
    expect(page.locator("article.named")).to_contain_text("3 times in 3 clips")


def test_names_are_given_changed_and_removed_without_javascript(chromium: Browser, street: Demo) -> None:
    events = [event for event in got(street, "events?limit=100&category=dog")["events"] if not event["name"]]
    context = chromium.new_context(base_url=street.url, java_script_enabled=False)
    page = context.new_page()
    for event in events[:2]:
        page.goto(f"/events/{event['id']}")
        if page.locator("details:has-text('another name'):not([open])").count():
            page.get_by_text("Give it another name").click()
        page.get_by_label("Name", exact=True).fill("Rex")
        page.get_by_role("button", name="Name it").click()
        expect(page.locator("aside")).to_contain_text("Rex")
    page.goto("/names")
    rex = page.locator("article.named", has=page.get_by_role("heading", name="Rex", exact=True))
    expect(rex.locator(".examples li")).to_have_count(2)
    rex.get_by_role("button", name="Drop example 2").click()
    expect(rex.locator(".examples li")).to_have_count(1)
    rex.get_by_text("Change or remove").click()
    rex.get_by_label("Name", exact=True).fill("Rex the dog")
    rex.get_by_label("Same source, at least %").fill("72.5")
    rex.get_by_label("Severity when watched").select_option("urgent")
    rex.get_by_role("button", name="Save").click()
    (reported,) = [one for one in got(street, "names")["names"] if one["name"] == "Rex the dog"]
    assert (reported["threshold"], reported["severity"], reported["mode"]) == (0.725, "urgent", "shown")
    page.get_by_text("Change or remove").last.click()
    page.get_by_role("button", name="Remove the name Rex the dog").click()
    assert "Rex the dog" not in [one["name"] for one in got(street, "names")["names"]]
    context.close()


def test_a_name_that_is_taken_is_refused_in_words(chromium: Browser, street: Demo) -> None:
    (reported,) = [one for one in got(street, "names")["names"] if one["name"] == "Bakery saw"]
    context = chromium.new_context(base_url=street.url)
    page = context.new_page()
    event = next(
        e for e in got(street, "events?limit=400")["events"] if e["presence"]["music"] > 0.9 and not e["name"]
    )
    page.goto(f"/events/{event['id']}")
    page.get_by_label("Name", exact=True).fill("Street music")
    page.get_by_role("button", name="Name it").click()
    page.goto("/names")
    music = page.locator("article.named", has=page.get_by_role("heading", name="Street music", exact=True))
    music.get_by_text("Change or remove").click()
    music.get_by_label("Name", exact=True).fill("BAKERY SAW")
    music.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("That name is taken")
    expect(page.locator("main")).to_contain_text(f"'{reported['name']}' is the name of another sound at all sites")
    context.close()


@every_display
@pytest.mark.parametrize("name", ["names", "event", "alert"])
def test_pages_with_names_are_readable_for_everyone(
    chromium: Browser,
    street: Demo,
    example: dict[str, Any],
    screenshots: Path,
    name: str,
    size: str,
    scheme: str,
) -> None:
    paths = {
        "names": "/names",
        "event": f"/events/{example['id']}",
        "alert": f"/alerts/{alerts_of(street, 'Bakery saw')[0]}",
    }
    assert_readable(chromium, street, paths[name], size, scheme, screenshots / f"named-{name}-{size}-{scheme}.png")
