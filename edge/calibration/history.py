"""The history of a sensor's calibrations: a file with one JSON object per line, the latest one last.

Lines are only added. A new line is written with a copy of the file that replaces it, so that a power cut leaves the
old history or the new one. A line that cannot be read is kept, reported and skipped.
"""

import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidError, UnavailableError
from shared.messages.fields import Instant, NamePattern
from shared.paths import printable

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest history: more than 5,000 calibrations."""
Decibels = Annotated[float, Field(ge=-200.0, le=200.0)]
SerialNumber = Annotated[str, Field(max_length=64)]


class CalibrationEntry(BaseModel):
    """One calibration.

    `full_scale_db_spl` is the sound pressure level of 0 dBFS, the value that the sensor applies from then on.
    `level_db` is the level of the calibrator, and `level_before_db` what the sensor would have reported with the
    calibration before; `level_after_db` is what it reports now. `drift_db` is the difference of the two, null if
    there was no calibration of this microphone before.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="ignore")

    id: NamePattern
    at: Instant
    full_scale_db_spl: Decibels
    level_db: Decibels
    level_before_db: Decibels | None = None
    level_after_db: Decibels
    drift_db: Decibels | None = None
    measured_dbfs: Decibels
    frequency_hz: float = Field(ge=0.0, le=1e6)
    fluctuation_db: float = Field(ge=0.0, le=200.0)
    snr_db: Decibels
    microphone: SerialNumber = ""
    calibrator: SerialNumber = ""
    device: str = Field("", max_length=256)
    software: str = Field("", max_length=64)


@dataclass(frozen=True, slots=True)
class History:
    """A history as read.

    Attributes:
        entries: calibrations, in the order of the file.
        faults: lines that cannot be read, as text.
    """

    entries: tuple[CalibrationEntry, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def latest(self) -> CalibrationEntry | None:
        """Return the calibration in force: the last one of the file."""
        return self.entries[-1] if self.entries else None


def calibration_id(at: datetime, token: str) -> str:
    """Return the id of a calibration, such as `2026-11-30-1f3c5a`.

    Args:
        at: when it was made.
        token: random letters and digits, so that two sensors calibrated on one day differ.
    """
    return f"{at:%Y-%m-%d}-{token[:6]}"


def read_history(path: Path) -> History:
    """Read a history; a file that does not exist is an empty one.

    Raises:
        UnavailableError: the file cannot be read.
        InvalidError: it is larger than `MAX_BYTES`.
    """
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise UnavailableError(
            f"cannot read the calibrations in {printable(path)}: {error.strerror or error}"
        ) from error
    entries, faults = list[CalibrationEntry](), list[str]()
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entries.append(CalibrationEntry.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            faults.append(f"{printable(path)}, line {number}: {where + ': ' if where else ''}{first['msg']}")
    return History(tuple(entries), tuple(faults))


def append_entry(path: Path, entry: CalibrationEntry) -> None:
    """Add a calibration to a history, which is created if it does not exist. All users may read it.

    Raises:
        UnavailableError: the folder cannot be written.
        InvalidError: the history is larger than `MAX_BYTES`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _bytes_of(path)
        line_end = b"\n" if data and not data.endswith(b"\n") else b""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data + line_end + entry.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise UnavailableError(
            f"cannot write the calibration to {printable(path)} as uid {os.getuid()}: {error.strerror or error}; run"
            " the command as the user of the agent, or set calibration.history"
        ) from error


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    if len(data) > MAX_BYTES:
        raise InvalidError(f"{printable(path)} has more than {MAX_BYTES:,} bytes: it is no history of calibrations")
    return data


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
