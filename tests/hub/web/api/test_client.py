"""The client of docs/api.md does what the page states."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from shared.synthetic_scene import SoundCast, mix_scene
from tests.running_hub import Demo, publish_event

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).parents[4] / "docs" / "client.py"


@pytest.fixture
def client(web: Demo) -> Any:
    return runpy.run_path(str(CLIENT))["Hub"](web.url)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "saw.wav"
    soundfile.write(
        path, mix_scene(["powered-saw"], np.random.default_rng(1), 16_000, cast=SoundCast.drawn(7)).waveform, 16_000
    )
    return path


def test_it_lists_everything_and_finds_what_is_similar(client: Any, web: Demo) -> None:
    events = list(client.list_all("events"))
    assert len(events) == web.archive.count()
    alert = next(client.list_all("alerts"))
    assert len(client.similar(alert["event"], k=3)) == 3


def test_it_searches_with_a_recording(client: Any, recording: Path) -> None:
    assert len(client.search_recording(recording, k=4)) == 4


def test_it_states_whether_an_alert_was_right(client: Any) -> None:
    alert = next(client.list_all("alerts"))["event"]
    assert client.submit_verdict(alert, "same", author="Ada")["verdict"]["verdict"] == "same"
    assert any(verdict["alert"] == alert for verdict in client.list_all("feedback"))


def test_it_listens_and_comes_back_to_where_it_was(client: Any, web: Demo) -> None:
    stored = web.archive.events(limit=1)[0]
    reported = client.listen()
    assert next(reported)[0] == "hello"
    first = publish_event(web, "schanze/roof", stored.features, 1, "client")
    before = next(last for kind, event, last in reported if kind == "event" and event["id"] == first)
    position = next(last for _, _, last in reported if last != before)
    reported.close()
    assert next(client.listen(position))[0] == "hello"


def test_as_a_program_it_prints_alerts_and_answers_for_recordings(web: Demo, recording: Path) -> None:
    for arguments, words in (((), "times"), ((str(recording),), "%")):
        command = [sys.executable, str(CLIENT), web.url, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert words in ran.stdout
