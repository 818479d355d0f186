"""The edge's program, run as its users run it, with no broker in reach."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge.spool import Spool
from shared.messages.event import decode_event
from shared.mqtt.topics import SensorTopic
from tests import forked
from tests.forked import Surroundings

NO_BROKER = ("--set", "mqtt.port=1", "--set", "mqtt.max_reconnect_delay_s=0.1")


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    path = tmp_path / "e.npz"
    np.savez(path, embedding=np.random.default_rng(0).integers(0, 256, (5, 10, 128), dtype=np.uint8))
    return path


def surroundings(folder: Path) -> Surroundings:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARWITNESS")}
    return Surroundings(folder, {**clean, "EARWITNESS_EDGE_MQTT__PASSWORD": "s3cret", "COLUMNS": "100"})


def program(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        cwd=cwd,
        env=surroundings(cwd).environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    return forked.finished("edge", list(arguments), surroundings(cwd))


def run_to_the_end_of_the_source(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run a sensor until it reports that its source ended, then stop it; returns the summary."""
    process = program("run", "--json", *NO_BROKER, *arguments, cwd=tmp_path)
    assert process.stderr is not None
    assert any("source ended" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_a_run_without_a_broker_keeps_everything_for_the_next(tmp_path: Path, embeddings: Path) -> None:
    source = (
        *("--set", "source.kind=embeddings", "--set", f"source.path={embeddings}"),
        *("--set", "source.speed=1e5", "--set", f"spool.path={tmp_path / 'spool.db'}"),
    )
    for run in (1, 2):
        assert run_to_the_end_of_the_source(tmp_path, *source) == {
            "sensor": "sensor-1",
            "captured": 5,
            "published": 0,
            "spooled": 5 * run,
            "set_aside": 0,
            "dropped": 0,
            "unreadable": 0,
        }
    spool = Spool(tmp_path / "spool.db", 10**9)
    topic = SensorTopic("demo", "sensor-1", "event")
    waiting = spool.peek(100)
    spool.close()
    assert {message.topic for message in waiting} == {str(topic)}
    events = [decode_event(message.payload, topic) for message in waiting]
    assert [event.id.seq for event in events] == [0, 1, 2, 3, 4] * 2
    assert len({event.id.boot for event in events}) == 2
    steps_s = {(b.captured_at - a.captured_at).total_seconds() for a, b in pairwise(events[:5])}
    assert steps_s == {10.0}


def test_a_full_spool_makes_a_replay_wait_and_lose_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 480_000)
    soundfile.write(tmp_path / "noise.wav", noise, 48_000)
    process = program(
        *("run", "--json", *NO_BROKER, "--set", "source.kind=files", "--set", f"source.path={tmp_path}"),
        *("--set", "source.loop=true", "--set", "source.speed=1e5", "--set", "spool.max_bytes=16777216"),
        *("--set", "levels.series=false"),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    assert any("spool takes no more" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    summary = json.loads(process.communicate(timeout=60)[0])
    assert summary["captured"] == summary["spooled"] > 0
    assert summary["dropped"] == 0


def test_wrong_settings_end_with_2_and_one_line(tmp_path: Path) -> None:
    code, out, err = finished("run", "--set", "source.speed=-1", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "source.speed" in err


def test_a_missing_folder_ends_with_1_and_one_line(tmp_path: Path) -> None:
    code, _, err = finished("run", "--set", "source.kind=files", "--set", "source.path=nowhere", cwd=tmp_path)
    assert code == 1
    assert "nowhere" in err
    assert "Traceback" not in err


def test_check_reports_what_works_what_does_not_and_no_secrets(tmp_path: Path, embeddings: Path) -> None:
    code, out, _ = finished(
        "check", "--json", *NO_BROKER, "--set", "source.kind=embeddings", "--set", f"source.path={embeddings}",
        cwd=tmp_path,
    )  # fmt: skip
    report = json.loads(out)
    assert code == 1
    assert {finding["what"]: finding["ok"] for finding in report["findings"]} == {
        "source": True,
        "calibration": True,
        "features": True,
        "spool": True,
        "disk": True,
        "clock": True,
        "broker": False,
        "tls": True,
        "machine": True,
    }
    assert report["settings"]["source"]["kind"] == "embeddings"
    assert "s3cret" not in out


def test_bench_reports_what_levels_clips_and_embeddings_cost_this_sensor(tmp_path: Path) -> None:
    code, out, _ = finished("bench", "--json", "--repeats", "2", cwd=tmp_path)
    cost = json.loads(out)
    assert (code, cost["space"]) == (0, "earwitness-small-u8/1")
    assert min(cost["levels_realtime_factor"], cost["clip_realtime_factor"]) > 1
    assert cost["embedding_realtime_factor"] > 1
    assert 20 < cost["clip_peak_mb"] <= cost["embedding_peak_mb"] <= 400
    code, out, _ = finished("bench", "--repeats", "1", cwd=tmp_path)
    assert code == 0
    assert "times real time" in out
    code, _, err = finished("bench", "--set", "features.space=logmel", cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "logmel" in err


def test_check_and_run_refuse_to_embed_what_is_embedded(tmp_path: Path, embeddings: Path) -> None:
    wrong = (
        *("--set", "source.kind=embeddings", "--set", f"source.path={embeddings}"),
        *("--set", "features.space=earwitness-small"),
    )
    code, out, _ = finished("check", "--json", *NO_BROKER, *wrong, cwd=tmp_path)
    found = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert code == 1
    assert not found["features"]["ok"]
    assert "must not be set" in found["features"]["words"]
    code, _, err = finished("run", *NO_BROKER, *wrong, cwd=tmp_path)
    assert code == 2
    assert "must not be set" in err


def test_the_program_runs_where_torch_redis_and_the_hub_are_not(tmp_path: Path) -> None:
    code = """
import sys, threading
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchaudio", "redis", "fastapi", "scipy", "hub", "sounddevice"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from edge.settings import EdgeSettings
from edge.sources import AudioClip, open_source
assert isinstance(next(iter(open_source(EdgeSettings()).clips(threading.Event()))), AudioClip)
from edge.cli import app
app(["check", "--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "effective settings" in done.stdout
