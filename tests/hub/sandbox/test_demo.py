"""The demo as a whole, with recordings of a user: it shows a history, plays them, keeps the page, and ends."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.synthetic_scene import SoundCast, mix_scene
from tests.demonstration import Demonstration, alive
from tests.server_processes import eventually

pytestmark = pytest.mark.e2e

CLIPS = 4
DAYS = 3


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """A demo that has played four recordings from a folder whose name looks like markup, without `--for`."""
    folder = tmp_path_factory.mktemp("demo")
    recordings = folder / "card [site] [/b]"
    recordings.mkdir(parents=True)
    rng, cast = np.random.default_rng(3), SoundCast.drawn(1)
    for number in range(CLIPS):
        sound = mix_scene(["human-voice"], rng, 16_000, cast=cast).waveform
        soundfile.write(recordings / f"{number}.wav", sound, 16_000)
    arguments = ("--recordings", str(recordings), "--sensors", "2", "--history-days", str(DAYS), "--speed", "50")
    demonstration = Demonstration(folder / "run", *arguments)
    demonstration.until("All clips were played")
    yield demonstration
    demonstration.close()


@pytest.fixture(scope="module")
def ended(played: Demonstration) -> tuple[Demonstration, list[int]]:
    """The same after Ctrl-C, and the processes it had."""
    children = played.children()
    played.interrupt()
    return played, children


def test_the_page_stays_after_the_last_clip(played: Demonstration) -> None:
    assert played.process.poll() is None
    eventually(lambda: len(live(played)) == CLIPS, 30, "what was played is on the page")


def test_a_folder_may_be_called_as_it_likes(played: Demonstration) -> None:
    assert "card [site] [/b], 50 times as fast as recorded" in played.printed


def test_four_links_are_worth_opening(played: Demonstration) -> None:
    _, *links = dict.fromkeys(played.links)
    assert [link.removeprefix(played.url).split("/")[1] for link in links] == ["alerts", "patterns", "map", "docs"]


def test_live_clips_are_stamped_as_they_play_whatever_the_speed(played: Demonstration) -> None:
    now = datetime.now(UTC)
    for event in live(played):
        captured, received = (datetime.fromisoformat(event[name]) for name in ("captured_at", "received_at"))
        assert captured < now
        assert timedelta(seconds=10) <= received - captured < timedelta(minutes=1)


def test_the_history_is_of_days_before_in_db_and_can_be_played(played: Demonstration) -> None:
    first = played.get("patterns/demo/street-1/machinery-impact")["first_at"]
    oldest = played.get("events?limit=500")["events"][-1]
    assert first is None or datetime.fromisoformat(first) > datetime.now(UTC) - timedelta(days=DAYS + 1)
    assert oldest["audio"]
    assert oldest["level_unit"] == "dB"
    sensors = played.get("sensors")["sensors"]
    assert [sensor["sensor"] for sensor in sensors] == ["street-1", "street-2"]
    assert all(sensor["events"] > 24 * (DAYS - 1) for sensor in sensors)


def test_ctrl_c_ends_everything_and_the_summary_counts_what_was_played(
    ended: tuple[Demonstration, list[int]],
) -> None:
    demonstration, children = ended
    assert demonstration.process.returncode == 0
    assert demonstration.summary.items() >= {"sent": CLIPS, "archived": CLIPS, "lost": 0}.items()
    assert demonstration.summary.items() >= {"duplicates": 0, "dead_letters": 0}.items()
    assert children
    assert not [pid for pid in children if alive(pid)]


def test_for_ends_the_demo_and_no_alert_is_no_failure(tmp_path: Path) -> None:
    demonstration = Demonstration(tmp_path, "--for", "6", "--speed", "10", "--sensors", "1", "--history-days", "0")
    assert demonstration.process.wait(180) == 0, demonstration.printed
    assert demonstration.summary["sent"] == demonstration.summary["archived"] >= 1
    assert demonstration.summary["lost"] == demonstration.summary["alerts"] == 0


def test_nothing_outlives_a_demo_that_was_killed(tmp_path: Path) -> None:
    demonstration = Demonstration(tmp_path, "--sensors", "1", "--history-days", "0")
    demonstration.until("Ctrl-C ends everything")
    children = demonstration.children()
    demonstration.process.kill()
    demonstration.process.wait()
    assert len(children) >= 3
    eventually(lambda: not any(alive(pid) for pid in children), 60, "hub, sensor and store have ended")


def live(demonstration: Demonstration) -> list[dict[str, str]]:
    """The newest events that are not of the history."""
    events = demonstration.get("events?limit=20")["events"]
    return [event for event in events if event["id"].split(".")[2] != "history"]
