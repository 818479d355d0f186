"""What an inspector sees and does, in a real browser, at a desk and on a phone, by day and by night."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Position, expect

from shared.synthetic_features import splice_clips
from shared.synthetic_scene import SoundCast, mix_scene
from tests.hub.web.pages.browsing import assert_readable, every_display, got
from tests.running_hub import Demo, publish_event

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def alert(city: Demo) -> dict[str, Any]:
    """The newest alert that foretells something, or else the newest."""
    alerts = got(city, "alerts?limit=100")["alerts"]
    return dict(next((a for a in alerts if (a["recurrence"] or {}).get("next")), alerts[0]))


@pytest.fixture(scope="session")
def event(city: Demo) -> dict[str, Any]:
    """The newest event with sound in which something is detected."""
    events = got(city, "events?limit=400")["events"]
    return dict(next(e for e in events if e["audio"] and max(e["presence"].values()) > 0.5))


@pytest.fixture(scope="session")
def paths(alert: dict[str, Any], event: dict[str, Any]) -> dict[str, str]:
    """Every page."""
    return {
        "now": "/",
        "events": "/events?place=harbour/quay",
        "event": f"/events/{event['id']}",
        "alerts": "/alerts",
        "alert": f"/alerts/{alert['event']}",
        "patterns": "/patterns",
        "pattern": "/patterns/harbour/bridge/powered-saw",
        "names": "/names",
        "map": "/map",
        "search": f"/search?event={event['id']}",
        "sensors": "/sensors",
        "sensor": "/sensors/harbour/fish-hall",
        "levels": "/levels/harbour/quay",
        "settings": "/settings",
        "docs": "/docs",
        "missing": "/events/a.b.1",
    }


PAGES = (
    "now",
    "events",
    "event",
    "alerts",
    "alert",
    "patterns",
    "pattern",
    "names",
    "map",
    "search",
    "sensors",
    "sensor",
    "levels",
    "settings",
    "docs",
    "missing",
)


@every_display
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_readable_for_everyone(
    chromium: Browser, city: Demo, paths: dict[str, str], screenshots: Path, name: str, size: str, scheme: str
) -> None:
    assert_readable(chromium, city, paths[name], size, scheme, screenshots / f"{name}-{size}-{scheme}.png")


def test_the_first_page_states_what_happened_and_when_to_be_there(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("in 24 hours")
    expect(page.get_by_role("heading", name="Expected next")).to_be_visible()
    expect(page.locator("article.alert").first).to_contain_text("Before")
    expect(page.get_by_text("harbour/fish-hall").first).to_be_visible()
    expect(page.get_by_text("not online").first).to_be_visible()


def test_what_is_published_appears_without_loading_the_page_again(page: Page, city: Demo) -> None:
    page.goto("/")
    expect(page.get_by_role("status").first).to_contain_text("Live")
    page.evaluate("window.stayed = true")
    known = city.archive.fetch([got(city, "events?limit=1&category=dog")["events"][0]["id"]])[0]
    name = publish_event(city, "schanze/roof", splice_clips(known.features[None], 1, np.random.default_rng(9))[0], 1)
    expect(page.locator(f"#events a[href='/events/{name}']")).to_be_visible(timeout=30_000)
    assert page.evaluate("window.stayed") is True


def test_the_list_of_events_is_live_on_its_first_page_alone(page: Page, city: Demo) -> None:
    page.goto("/events?place=schanze%2Froof")
    expect(page.get_by_role("status").first).to_contain_text("Live")
    page.evaluate("window.stayed = true")
    known = city.archive.fetch([got(city, "events?limit=1&category=dog")["events"][0]["id"]])[0]
    name = publish_event(
        city, "schanze/roof", splice_clips(known.features[None], 1, np.random.default_rng(19))[0], 19
    )
    expect(page.locator(f"#listed a[href='/events/{name}']")).to_be_visible(timeout=30_000)
    assert page.evaluate("window.stayed") is True
    page.goto("/events")
    page.get_by_role("link", name="Earlier events").click()
    expect(page.locator("#listed")).not_to_have_attribute("data-live", "event")


def test_an_alert_reports_its_past_its_next_time_and_its_matches(page: Page, alert: dict[str, Any]) -> None:
    page.goto(f"/alerts/{alert['event']}")
    expect(page.get_by_role("heading", name="Where it was before")).to_be_visible()
    expect(page.get_by_role("heading", name="Expected next")).to_be_visible()
    assert page.locator("li.pair").count() == len(alert["matches"])
    expect(page.locator("table.matrix").first).to_contain_text("both")


def test_a_verdict_given_on_the_page_is_kept_and_the_threshold_moves(page: Page, city: Demo) -> None:
    alert = got(city, "alerts?limit=100")["alerts"][-1]
    before = got(city, f"sites/{alert['site']}/thresholds")["thresholds"]
    page.goto(f"/alerts/{alert['event']}")
    for number in range(page.locator("li.pair").count()):
        page.locator("li.pair").nth(number).get_by_role("button", name="Different").click()
        expect(page.locator("li.pair").nth(number)).to_contain_text("Verdict: different")
    page.get_by_label("Your name").fill("Ada")
    page.locator("aside").get_by_role("button", name="Different").click()
    expect(page.locator("#moved")).to_contain_text("an alert now needs")
    after = got(city, f"sites/{alert['site']}/thresholds")["thresholds"]
    lead = alert["categories"][0]
    own_before, own_after = (next(t for t in many if t["category"] == lead) for many in (before, after))
    assert own_after["verdicts"] >= own_before["verdicts"] + 1 + len(alert["matches"])
    assert own_after != own_before
    stated = got(city, f"alerts/{alert['event']}/feedback")["feedback"]
    assert {"Ada"} <= {verdict["author"] for verdict in stated}
    page.goto("/alerts?category=" + lead)
    page.goto("/settings")
    expect(page.get_by_role("heading", name=f"Thresholds of {alert['site']}")).to_be_visible()


def test_a_wrong_category_is_reported_with_the_right_one(page: Page, city: Demo) -> None:
    alert = got(city, "alerts?limit=2")["alerts"][-1]["event"]
    page.goto(f"/alerts/{alert}")
    form = page.locator("aside form.verdict")
    form.get_by_text("Wrong category").click()
    form.get_by_label("Music").check()
    form.get_by_role("button", name="It was that instead").click()
    expect(page.locator("aside .given")).to_contain_text("wrong category (Music)")


def recording(folder: Path) -> Path:
    """A recording of the network that people have, or else a synthetic scene."""
    real = os.environ.get("EARWITNESS_SONYC_RECORDINGS")
    if real:
        return next(path for path in sorted(Path(real).rglob("*")) if path.suffix in {".wav", ".flac", ".ogg"})
    path = folder / "saw.wav"
    soundfile.write(
        path, mix_scene(["powered-saw"], np.random.default_rng(4), 22_050, 12.0, SoundCast.drawn(7)).waveform, 22_050
    )
    return path


def test_a_recording_is_searched(page: Page, tmp_path: Path) -> None:
    page.goto("/search")
    page.locator("input[type=file]").set_input_files(recording(tmp_path))
    page.locator("form[enctype]").get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="Similar to ")).to_be_visible()
    expect(page.locator("ol.results li, .empty").first).to_be_visible()


def test_what_is_no_recording_is_refused_in_words(chromium: Browser, city: Demo, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no sound at all")
    page = chromium.new_page(base_url=city.url)
    page.goto("/search")
    page.locator("input[type=file]").set_input_files(tmp_path / "notes.wav")
    page.locator("form[enctype]").get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("send wav, flac, ogg, mp3 or m4a")
    page.close()


def test_a_search_by_event_has_an_address_and_keeps_to_its_filters(page: Page, event: dict[str, Any]) -> None:
    page.goto("/search")
    form = page.locator("form[method=get].panel")
    form.get_by_label("Event id").fill(event["id"])
    form.get_by_label("Place").select_option("schanze/park")
    form.get_by_role("button", name="Search").click()
    assert event["id"] in page.url
    for heading in page.locator("ol.results h3").all_inner_texts():
        assert heading.startswith("schanze/park")


def test_sound_can_be_played(page: Page, event: dict[str, Any]) -> None:
    page.goto(f"/events/{event['id']}")
    loaded = page.evaluate(
        """async () => {
            const audio = document.querySelector("audio");
            audio.muted = true;
            await audio.play();
            return audio.duration;
        }"""
    )
    assert loaded == pytest.approx(10.0, abs=0.1)


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_pages_work_without_javascript(chromium: Browser, city: Demo, alert: dict[str, Any]) -> None:
    context = chromium.new_context(base_url=city.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/alerts/{alert['event']}")
    page.locator("aside").get_by_role("button", name="Same").click()
    expect(page.locator("#moved")).to_be_visible()
    page.goto("/alerts")
    page.get_by_label("What").select_option("music")
    page.get_by_role("button", name="Show").click()
    for title in page.locator("article.alert h2").all_inner_texts():
        assert "usic" in title
    context.close()


def test_times_are_the_citys(page: Page, event: dict[str, Any]) -> None:
    page.goto(f"/events/{event['id']}")
    written = page.locator("main time").first.get_attribute("datetime")
    assert written is not None
    assert written.endswith(("+01:00", "+02:00"))


def test_a_chart_states_the_levels_under_the_pointer_and_opens_the_hour(page: Page) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    page.goto(f"/levels/harbour/quay?day={yesterday}")
    chart = page.locator("figure .over")
    box = chart.bounding_box()
    assert box is not None
    middle: Position = {"x": box["width"] * 11.5 / 24, "y": box["height"] / 2}
    chart.hover(position=middle)
    expect(page.locator(".readout")).to_have_text(re.compile(r"^11:(29|30): no levels$"))
    chart.hover(position={"x": box["width"] * 20.5 / 24, "y": 9})
    expect(page.locator(".readout")).to_have_text(re.compile(r"^20:(29|30): LAeq \d\d\.\d, .* dB, 60 s valid$"))
    chart.focus()
    page.keyboard.press("End")
    expect(page.locator(".readout")).to_have_text(re.compile(r"^23:59: LAeq"))
    chart.click(position=middle)
    expect(page).to_have_url(re.compile(r"span=hour&day=.*&hour=11$"))
    expect(page.get_by_role("link", name="Hour", exact=True)).to_have_attribute("aria-current", "true")
