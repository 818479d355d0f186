"""One calibration: listen to the microphone or read a recording, and make the entry of the history."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Final

from edge.calibration.calibrator import (
    WARNED_DRIFT_DB,
    CalibratorDetector,
    Expected,
    Recognition,
    Refusal,
)
from edge.calibration.history import CalibrationEntry, History, calibration_id
from edge.calibration.tone import ToneBlock
from edge.clock import PLAUSIBLE_FROM
from edge.settings import EdgeSettings
from edge.sources.live_blocks import DEFAULT_RATE_HZ
from edge.sources.microphone import MicrophoneSource
from shared.audio import Waveform
from shared.downmix import check_samples, loudest
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable
from shared.recording import opened

MAX_FILE_S: Final = 600
"""Seconds of a recording that are searched for a calibrator."""
Progress = Callable[[ToneBlock], None]


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments of a calibration.

    Attributes:
        microphone: serial number of the microphone; None is that of the calibration before.
        calibrator: serial number of the calibrator; None is that of the calibration before.
        level_db: level of the calibrator as stated by the operator; None recognises 94 or 114 dB.
    """

    microphone: str | None = None
    calibrator: str | None = None
    level_db: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationSession:
    """A calibration about to be made.

    Attributes:
        settings: settings of the sensor; `source.device` and `source.rate_hz` name the microphone.
        history: calibrations before.
        instruments: microphone and calibrator.
    """

    settings: EdgeSettings
    history: History
    instruments: Instruments

    @property
    def before(self) -> CalibrationEntry | None:
        """Return the last calibration of this microphone; None if it is another one."""
        latest, serial = self.history.latest, self.instruments.microphone
        return None if latest is None or (serial is not None and serial != latest.microphone) else latest

    @property
    def expected(self) -> Expected:
        """Return what is known before; a full scale that was set by hand counts if there is no history."""
        if self.history.latest is None:
            return Expected(self.settings.levels.full_scale_db_spl, self.instruments.level_db)
        return Expected(None if self.before is None else self.before.full_scale_db_spl, self.instruments.level_db)

    def listen(self, timeout_s: float, progress: Progress) -> Recognition | Refusal:
        """Listen to the microphone until a calibrator is recognised, at most `timeout_s`.

        Raises:
            UnavailableError: the microphone is missing, failed or delivers nothing.
        """
        source = self.microphone
        detector = CalibratorDetector(source.rate_hz, self.expected)
        deadline_s, stop = time.monotonic() + timeout_s, threading.Event()
        for block in source.blocks(stop):
            if (found := _add(detector, block, progress)) is not None:
                return found
            if time.monotonic() >= deadline_s:
                break
        return detector.refusal()

    @property
    def microphone(self) -> MicrophoneSource:
        """Return the microphone of the settings."""
        source = self.settings.source
        return MicrophoneSource(device=source.device, rate_hz=source.rate_hz or DEFAULT_RATE_HZ)

    def read(self, path: Path, progress: Progress) -> Recognition | Refusal:
        """Search a recording for a calibrator; of several channels the loudest counts.

        Raises:
            UnavailableError: the file cannot be read.
            InvalidError: it is no recording, or holds samples that cannot be sound.
        """
        try:
            with opened(path) as recording:
                detector = CalibratorDetector(recording.rate_hz, self.expected)
                for block in islice(recording.blocks(recording.rate_hz), MAX_FILE_S):
                    check_samples(block)
                    if (found := _add(detector, loudest(block), progress)) is not None:
                        return found
        except InvalidError as error:
            raise InvalidError(f"{printable(path)}: {error}") from error
        except UnavailableError as error:
            raise UnavailableError(f"{printable(path)} {error}") from error
        return detector.refusal()

    def entry(self, found: Recognition, device: str, now: datetime) -> CalibrationEntry:
        """Return the entry of a recognised calibrator.

        Args:
            found: the calibrator.
            device: description of the microphone or name of the recording.
            now: the time, UTC.

        Raises:
            InvalidError: the time is implausible, so that the age of the calibration would be wrong.
        """
        if now < PLAUSIBLE_FROM:
            raise InvalidError(
                f"the clock gives {now:%Y-%m-%d}, so the calibration would have a wrong date: set the clock"
            )
        latest, known = self.history.latest, self.expected.full_scale_db_spl
        before_db = None if known is None else found.measured_dbfs + known
        serials = (self.instruments.microphone, self.instruments.calibrator)
        defaults = (latest.microphone, latest.calibrator) if latest is not None else ("", "")
        microphone, calibrator = (
            default if serial is None else serial for serial, default in zip(serials, defaults, strict=True)
        )
        return CalibrationEntry(
            id=calibration_id(now, uuid.uuid4().hex),
            at=now,
            full_scale_db_spl=round(found.full_scale_db_spl, 3),
            level_db=found.level_db,
            level_before_db=None if before_db is None else round(before_db, 3),
            level_after_db=found.level_db,
            drift_db=None if before_db is None else round(before_db - found.level_db, 3),
            measured_dbfs=round(found.measured_dbfs, 3),
            frequency_hz=round(found.frequency_hz, 2),
            fluctuation_db=round(found.fluctuation_db, 3),
            snr_db=round(found.snr_db, 1),
            microphone=microphone,
            calibrator=calibrator,
            device=device[:256],
            software=f"earwitness-edge {version('earwitness')}"[:64],
        )


def drift_warning(entry: CalibrationEntry) -> str | None:
    """Return a warning if the drift is above `WARNED_DRIFT_DB`, as text."""
    if entry.drift_db is None or abs(entry.drift_db) <= WARNED_DRIFT_DB:
        return None
    return (
        f"the microphone drifted by {entry.drift_db:+.2f} dB since its last calibration, more than"
        f" {WARNED_DRIFT_DB} dB: the levels since then are in doubt; repeat the calibration, and check microphone and"
        " windscreen"
    )


def now_utc() -> datetime:
    """Return the time to the second, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def _add(detector: CalibratorDetector, samples: Waveform, progress: Progress) -> Recognition | None:
    before = detector.latest
    found = detector.add(samples)
    if detector.latest is not None and detector.latest is not before:
        progress(detector.latest)
    return found
