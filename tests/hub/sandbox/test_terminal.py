from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from hub.sandbox.terminal import describe, links, machine_zone
from tests.factories import alert


def test_without_alerts_the_links_are_of_lists() -> None:
    assert [address for _, address in links("http://hub", [])] == [
        "http://hub/alerts",
        "http://hub/patterns",
        "http://hub/map",
        "http://hub/docs",
    ]


def test_the_most_severe_alert_is_linked_and_of_those_the_newest() -> None:
    severities = ("notice", "recurring", "urgent", "urgent")
    alerts = [
        alert().model_copy(update={"event": f"street-1.b.{n}", "severity": s}) for n, s in enumerate(severities)
    ]
    assert links("http://hub", alerts)[0] == ("an urgent alert", "http://hub/alerts/street-1.b.2")
    assert links("http://hub", alerts[:2])[0] == ("a recurring alert", "http://hub/alerts/street-1.b.1")


def test_an_alert_is_described_on_the_local_clock() -> None:
    raised = alert()
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(describe(raised, ZoneInfo("Asia/Tokyo")))
    local = raised.captured_at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert capture.get().startswith(f"{local:%H:%M:%S} {raised.site}/{raised.sensor}: ")


def test_the_machine_s_zone_is_used_or_utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert machine_zone() == ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", "no/zone")
    assert machine_zone(tmp_path / "localtime") == ZoneInfo("UTC")
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/America/Lima")
    assert machine_zone(tmp_path / "localtime") == ZoneInfo("America/Lima")
