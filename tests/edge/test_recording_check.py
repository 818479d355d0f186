"""`check` reports of recordings what a run does with them."""

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ = 8_000
WAVE = np.sin(np.arange(15 * RATE_HZ) / 3) / 4


def edge(command: str, folder: Path, spool: Path) -> tuple[str, str]:
    """Standard output and error of `check`, or of a `run` until its source has ended."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARWITNESS")}
    flags = (
        *("source.kind=files", f"source.path={folder}", "source.speed=1e5", f"spool.path={spool}"),
        *("mqtt.port=1", "log.format=json"),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", command, "--json", *(part for flag in flags for part in ("--set", flag))],
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    logged = ""
    if command == "run":
        for line in process.stderr:
            logged += line
            if "source ended" in line:
                break
        process.send_signal(signal.SIGTERM)
    out, rest = process.communicate(timeout=60)
    return out, logged + rest


def damage(folder: Path) -> list[str]:
    """Recordings that are read, with something wrong, and names of what is reported of them."""
    folder.mkdir()
    soundfile.write(folder / "good.wav", WAVE, RATE_HZ)
    soundfile.write(folder / "dead.wav", np.stack([WAVE, 0 * WAVE], axis=1), RATE_HZ)
    soundfile.write(folder / "scipy.wav", WAVE * 32_767, RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "rate.wav", np.resize(WAVE, 976_560), 97_656)
    (folder / "text.wav").write_text("404 Not Found")
    wave = WAVE.copy()
    wave[-1] = np.nan
    soundfile.write(folder / "nan.wav", wave, RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "cut.flac", WAVE, RATE_HZ)
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:-20_000])
    soundfile.write(folder / "power.wav", WAVE, RATE_HZ)
    raw = bytearray((folder / "power.wav").read_bytes())
    raw[40:44] = struct.pack("<I", 0)
    (folder / "power.wav").write_bytes(raw)
    return ["dead.wav", "scipy.wav", "rate.wav", "text.wav", "nan.wav from 10 s", "cut.flac", "power.wav"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "clips"


def test_a_run_names_every_recording_with_a_fault_and_sends_the_others(tmp_path: Path, folder: Path) -> None:
    named = damage(folder)
    out, logged = edge("run", folder, tmp_path / "spool.db")
    reported = {Path(line["what"]).name for line in map(json.loads, logged.splitlines()) if "what" in line}
    assert reported == set(named)
    summary = json.loads(out)
    assert (summary["captured"], summary["unreadable"]) == (9, 3)


def test_check_names_what_a_run_names(tmp_path: Path, folder: Path) -> None:
    damage(folder)
    out, _ = edge("check", folder, tmp_path / "spool.db")
    (source,) = (one for one in json.loads(out)["findings"] if one["what"] == "source")
    assert source["ok"]
    assert "all of them were tested" in source["words"]
    assert "3 cannot be read: " in source["words"]
    assert "4 doubtful: " in source["words"]
    for name in ("scipy.wav (", "text.wav (", "nan.wav from 10 s (", "dead.wav (", "cut.flac ("):
        assert name in source["words"]


def test_check_fails_where_a_run_could_send_nothing(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "text.wav").write_text("404 Not Found")
    out, _ = edge("check", folder, tmp_path / "spool.db")
    (source,) = (one for one in json.loads(out)["findings"] if one["what"] == "source")
    assert not source["ok"]
    assert "1 cannot be read: " in source["words"]
    assert "text.wav" in source["words"]
