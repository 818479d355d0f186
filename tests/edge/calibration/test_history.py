"""The history of calibrations, and what a sensor makes of it."""

import json
import logging
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration.history import (
    MAX_BYTES,
    CalibrationEntry,
    append_entry,
    calibration_id,
    read_history,
)
from edge.calibration.in_force import open_calibration
from edge.settings import EdgeSettings
from shared.errors import InvalidError, UnavailableError
from shared.events import Calibration
from tests.factories import NOON


def entry(number: int = 0, full_scale_db: float = 120.0) -> CalibrationEntry:
    at = NOON + timedelta(days=number)
    return CalibrationEntry(
        id=calibration_id(at, f"{number:06x}"),
        at=at,
        full_scale_db_spl=full_scale_db,
        level_db=94.0,
        level_before_db=93.2,
        level_after_db=94.0,
        drift_db=-0.8,
        measured_dbfs=-26.0,
        frequency_hz=1_000.1,
        fluctuation_db=0.02,
        snr_db=41.0,
        microphone="4711",
    )


def sensor(folder: Path, **groups: dict[str, object]) -> EdgeSettings:
    return EdgeSettings.model_validate({"spool": {"path": folder / "corner.db"}, **groups})


def test_calibrations_are_read_as_they_were_added_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.jsonl"
    assert read_history(path).latest is None
    for number in range(3):
        before = path.read_bytes() if path.exists() else b""
        append_entry(path, entry(number))
        assert path.read_bytes().startswith(before), "lines are only added"
    history = read_history(path)
    assert history.entries == tuple(entry(number) for number in range(3))
    assert history.latest == entry(2)
    assert history.faults == ()
    assert [name.name for name in path.parent.iterdir()] == ["history.jsonl"], "no temporary file stays"
    assert path.stat().st_mode & 0o777 == 0o644


@given(value=st.floats(-200.0, 200.0), drift=st.none() | st.floats(-200.0, 200.0), serial=st.text(max_size=64))
def test_every_entry_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, value: float, drift: float | None, serial: str
) -> None:
    one = entry().model_copy(update={"full_scale_db_spl": value, "drift_db": drift, "calibrator": serial})
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    append_entry(path, one)
    assert read_history(path).entries == (one,)


def test_a_torn_line_is_reported_kept_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_entry(path, entry(0))
    with path.open("ab") as file:
        file.write(b'{"id": "2026-11-')
    append_entry(path, entry(1))
    history = read_history(path)
    assert history.entries == (entry(0), entry(1))
    assert len(history.faults) == 1
    assert "line 2: Invalid JSON" in history.faults[0]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("field", ["full_scale_db_spl", "at", "id"])
def test_an_entry_without_a_value_that_the_sensor_needs_is_skipped(tmp_path: Path, field: str) -> None:
    path = tmp_path / "history.jsonl"
    fields = json.loads(entry().model_dump_json())
    del fields[field]
    path.write_text(json.dumps(fields) + "\n" + entry(1).model_dump_json() + "\n\n")
    assert read_history(path).entries == (entry(1),)
    assert read_history(path).faults == (f"{path}, line 1: {field}: Field required",)


def test_a_file_that_is_too_large_is_no_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n" * (MAX_BYTES + 1))
    with pytest.raises(InvalidError, match="it is no history of calibrations"):
        read_history(path)
    with pytest.raises(InvalidError):
        append_entry(path, entry())


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=r"cannot write the calibration to .* or set calibration\.history"):
        append_entry(tmp_path / "file" / "history.jsonl", entry())
    with pytest.raises(UnavailableError, match="cannot read the calibrations in"):
        read_history(tmp_path)


def test_the_sensor_uses_the_last_calibration(tmp_path: Path) -> None:
    settings = sensor(tmp_path)
    assert settings.calibration_path() == tmp_path / "corner.calibrations.jsonl"
    for number in range(2):
        append_entry(settings.calibration_path(), entry(number, 120.0 + number))
    calibration = open_calibration(settings)
    assert calibration.full_scale_db_spl == 121.0
    assert calibration.record == Calibration(entry(1).id, entry(1).at)
    assert calibration.description.startswith(
        f"calibrated on {entry(1).at:%Y-%m-%d} ({entry(1).id}): 0 dBFS is 121.00"
    )


def test_a_full_scale_set_by_hand_wins_over_the_history_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = sensor(tmp_path, levels={"full_scale_db_spl": 110.0})
    append_entry(settings.calibration_path(), entry())
    with caplog.at_level(logging.WARNING):
        calibration = open_calibration(settings)
    assert (calibration.full_scale_db_spl, calibration.record) == (110.0, None)
    assert "wins over the history" in caplog.text
    assert calibration.description == "0 dBFS is 110 dB SPL by levels.full_scale_db_spl, without a date"


def test_a_sensor_that_was_never_calibrated_reports_it(tmp_path: Path) -> None:
    calibration = open_calibration(sensor(tmp_path))
    assert (calibration.full_scale_db_spl, calibration.record) == (None, None)
    assert calibration.description.startswith("never calibrated: levels are in dBFS")


def test_a_damaged_last_line_leaves_the_calibration_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = sensor(tmp_path)
    append_entry(settings.calibration_path(), entry())
    with settings.calibration_path().open("ab") as file:
        file.write(os.urandom(40))
    assert open_calibration(settings).full_scale_db_spl == 120.0
    assert "a calibration cannot be read and is skipped" in caplog.text
