"""`earwitness-edge calibrate`, run as its users run it, on recordings of a calibrator."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge.calibration.history import read_history
from edge.spool import Spool
from shared.audio import Waveform
from shared.messages.event import decode_event
from tests.edge.calibration.tones import RATE_HZ, tone
from tests.edge.test_cli import finished, run_to_the_end_of_the_source

SET = ("--set", "spool.path=corner.db")
HISTORY = "corner.calibrations.jsonl"


def recorded(folder: Path, name: str, wave: Waveform) -> str:
    soundfile.write(folder / name, wave, RATE_HZ, subtype="FLOAT")
    return name


def calibrate(folder: Path, name: str, *options: str) -> tuple[int, dict[str, Any], str]:
    """Calibrate with a recording; returns the exit code, the printed document and the messages."""
    code, out, err = finished("calibrate", *SET, "--file", name, "--json", *options, cwd=folder)
    return code, json.loads(out), err


def waiting(path: Path) -> list[bytes]:
    """The events in a spool."""
    spool = Spool(path, 10**9)
    payloads = [message.payload for message in spool.peek(100, levels=False)]
    spool.close()
    return payloads


def test_a_calibrator_is_recognised_and_its_history_kept_with_drift(tmp_path: Path) -> None:
    first, later = recorded(tmp_path, "first.wav", tone(-26.0)), recorded(tmp_path, "later.wav", tone(-26.9))
    code, found, _ = calibrate(tmp_path, first, "--microphone", "4711", "--calibrator", "34091")
    assert (code, found["recognised"], found["level_db"], found["drift_db"]) == (0, True, 94.0, None)
    assert found["full_scale_db_spl"] == pytest.approx(120.0, abs=0.02)
    assert found["warning"] is None
    code, found, messages = calibrate(tmp_path, later)
    assert code == 0
    assert found["drift_db"] == pytest.approx(-0.9, abs=0.03)
    assert (found["level_before_db"], found["level_after_db"]) == (pytest.approx(93.1, abs=0.03), 94.0)
    assert (found["microphone"], found["calibrator"]) == ("4711", "34091")
    assert "warning: the microphone drifted by -0.90 dB since its last calibration, more than 0.5 dB" in messages
    assert found["warning"] in messages
    history = read_history(tmp_path / HISTORY)
    assert [entry.full_scale_db_spl for entry in history.entries] == [
        pytest.approx(120.0, abs=0.02),
        pytest.approx(120.9, abs=0.02),
    ]
    code, out, _ = finished("calibrate", *SET, "--list", "--json", cwd=tmp_path)
    assert [entry["id"] for entry in json.loads(out)] == [entry.id for entry in history.entries]
    _, out, _ = finished("calibrate", *SET, "--list", cwd=tmp_path)
    assert "drift first" in out
    assert "drift -0.90 dB  microphone 4711, calibrator 34091  0 days ago" in out


def test_another_microphone_has_no_drift(tmp_path: Path) -> None:
    name = recorded(tmp_path, "first.wav", tone(-26.0))
    assert calibrate(tmp_path, name, "--microphone", "4711")[0] == 0
    code, found, _ = calibrate(tmp_path, recorded(tmp_path, "b.wav", tone(-36.0)), "--microphone", "4712")
    assert (code, found["drift_db"], found["level_before_db"], found["level_db"]) == (0, None, None, 94.0)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    code, found, _ = calibrate(tmp_path, recorded(tmp_path, "tone.wav", tone()), "--dry-run")
    assert (code, found["recognised"], found["written_to"]) == (0, True, None)
    assert not (tmp_path / HISTORY).exists()
    code, out, _ = finished("calibrate", *SET, "--list", cwd=tmp_path)
    assert (code, out) == (0, f"never calibrated: there is no calibration in {HISTORY}\n")


@pytest.mark.parametrize(
    ("wave", "reason"),
    [
        (tone(frequency_hz=250.0), "the strongest tone is at 250.0 Hz"),
        (tone(drift_db=-2.0), "its level varies by ±"),
        (tone(noise_dbfs=-36.0), "less than 20 dB"),
        (tone(seconds=5.0), "5.0 s of sound are too short"),
        (tone(-15.0), "both 94 and 114 dB fit"),
    ],
)
def test_what_is_no_calibrator_is_refused_with_the_reason(tmp_path: Path, wave: Waveform, reason: str) -> None:
    code, found, messages = calibrate(tmp_path, recorded(tmp_path, "tone.wav", wave))
    assert (code, found["recognised"]) == (1, False)
    assert any(reason in one for one in found["reasons"])
    assert "no calibrator was recognised: " in messages
    assert not (tmp_path / HISTORY).exists()


def test_a_stated_level_is_taken(tmp_path: Path) -> None:
    code, found, _ = calibrate(tmp_path, recorded(tmp_path, "tone.wav", tone(-15.0)), "--level-db", "113.8")
    assert (code, found["level_db"]) == (0, 113.8)
    assert found["full_scale_db_spl"] == pytest.approx(128.8, abs=0.02)


@pytest.mark.parametrize(("name", "code"), [("nothing.wav", 1), ("text.wav", 2)])
def test_a_file_that_is_no_recording_is_named(tmp_path: Path, name: str, code: int) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    result, out, messages = finished("calibrate", *SET, "--file", name, cwd=tmp_path)
    assert (result, out) == (code, "")
    assert f"earwitness-edge: {name}" in messages


def test_events_carry_the_calibration_and_levels_that_it_gives(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    recorded(folder, "a.wav", tone(-26.0, seconds=10.0, noise_dbfs=None))
    (tmp_path / "mic.csv").write_text("frequency_hz,correction_db\n100,3\n1000,0\n10000,-3\n")
    assert calibrate(tmp_path, recorded(tmp_path, "tone.wav", tone()))[0] == 0
    latest = read_history(tmp_path / HISTORY).latest
    assert latest is not None
    options = ("--set", "source.kind=files", "--set", f"source.path={folder}", "--set", "source.speed=1000")
    run_to_the_end_of_the_source(tmp_path, *SET, *options, "--set", "calibration.correction=mic.csv")
    (payload,) = waiting(tmp_path / "corner.db")
    event = decode_event(payload)
    assert event.calibration is not None
    assert (event.calibration.id, event.calibration.at) == (latest.id, latest.at)
    assert event.levels.unit == "dB"
    assert event.levels.laeq == pytest.approx(94.0, abs=0.05)


def test_a_correction_file_with_an_error_ends_the_program_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mic.csv").write_text("frequency_hz,correction_db\n1000,0\n100,3\n")
    code, _, messages = finished("run", *SET, "--set", "calibration.correction=mic.csv", cwd=tmp_path)
    assert code == 2
    assert "mic.csv, line 3: its frequency is not above that of the row before" in messages


def test_the_check_reports_the_calibration(tmp_path: Path) -> None:
    finding = "calibration: ok never calibrated: levels are in dBFS (run `earwitness-edge calibrate`)"
    _, out, _ = finished("check", *SET, "--set", "mqtt.port=1", cwd=tmp_path)
    assert finding in out
    assert calibrate(tmp_path, recorded(tmp_path, "tone.wav", tone()))[0] == 0
    _, out, _ = finished("check", *SET, "--set", "mqtt.port=1", cwd=tmp_path)
    assert "calibration: ok calibrated on " in out
    (tmp_path / "mic.csv").write_text("nothing")
    code, out, _ = finished(
        "check", *SET, "--set", "mqtt.port=1", "--set", "calibration.correction=mic.csv", cwd=tmp_path
    )
    assert code == 1
    assert "calibration: failed mic.csv, line 1: there are no columns frequency_hz" in out


def test_samples_that_cannot_be_sound_are_refused(tmp_path: Path) -> None:
    wave = tone()
    wave[100] = np.nan
    code, _, messages = finished("calibrate", *SET, "--file", recorded(tmp_path, "a.wav", wave), cwd=tmp_path)
    assert code == 2
    assert "a.wav: it contains samples that are not finite numbers" in messages
