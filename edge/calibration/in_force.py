"""The calibration and correction that a running sensor applies."""

import logging
from typing import Final

import numpy as np

from edge.calibration.correction import Correction, CorrectionFilter, read_correction
from edge.calibration.history import read_history
from edge.settings import EdgeSettings
from shared.audio import Waveform
from shared.events import Calibration

log = logging.getLogger(__name__)


class LevelCalibration:
    """Conversion of samples to sound pressure levels.

    Args:
        full_scale_db_spl: dB SPL of 0 dBFS; None reports dBFS.
        record: the calibration that gave it; None if it was set by hand, or if there is none.
        correction: of the frequency response; None without one.
    """

    def __init__(
        self,
        full_scale_db_spl: float | None = None,
        record: Calibration | None = None,
        correction: Correction | None = None,
    ) -> None:
        self.full_scale_db_spl: Final = full_scale_db_spl
        self.record: Final = record
        self.correction: Final = correction
        self._filter: CorrectionFilter | None = None
        self._rate_hz = 0

    def corrected(self, waveform: Waveform, rate_hz: int) -> Waveform:
        """Return the sound from which levels and bands are measured.

        The state of the filter carries over from one call to the next, so consecutive clips join without a step.

        Args:
            waveform: float32 [samples], full scale = 1.0, that follows the sound of the call before.
            rate_hz: sample rate in Hz.

        Returns:
            float32 [samples].
        """
        if self.correction is None:
            return waveform
        if not np.isfinite(waveform).all():  # the measurement rejects it; the filter must not keep it
            self.reset()
            return waveform
        if self._filter is None or rate_hz != self._rate_hz:
            self._filter, self._rate_hz = CorrectionFilter(self.correction, rate_hz), rate_hz
        return self._filter.process(waveform)

    def reset(self) -> None:
        """Forget the sound before a gap."""
        if self._filter is not None:
            self._filter.reset()

    @property
    def description(self) -> str:
        """Return what is applied, as text for logs and `check`."""
        if self.record is not None:
            words = f"calibrated on {self.record.at:%Y-%m-%d} ({self.record.id}): 0 dBFS is"
            words += f" {self.full_scale_db_spl:.2f} dB SPL"
        elif self.full_scale_db_spl is not None:
            words = f"0 dBFS is {self.full_scale_db_spl:g} dB SPL by levels.full_scale_db_spl, without a date"
        else:
            words = "never calibrated: levels are in dBFS (run `earwitness-edge calibrate`)"
        return words if self.correction is None else f"{words}; response corrected by {self.correction.name}"


def open_calibration(settings: EdgeSettings) -> LevelCalibration:
    """Return what the settings and the history of calibrations give.

    `levels.full_scale_db_spl` wins over the history.

    Raises:
        InvalidError: the correction file is no correction, or the history is too large.
        UnavailableError: one of the files cannot be read.
    """
    path = settings.calibration.correction
    correction = None if path is None else read_correction(path)
    history = read_history(settings.calibration_path())
    for fault in history.faults:
        log.warning("a calibration cannot be read and is skipped", extra={"reason": fault})
    manual, latest = settings.levels.full_scale_db_spl, history.latest
    if manual is not None:
        if latest is not None:
            log.warning(
                "levels.full_scale_db_spl wins over the history of calibrations: remove it to use the history",
                extra={"used_db_spl": manual, "history_db_spl": latest.full_scale_db_spl, "calibration": latest.id},
            )
        return LevelCalibration(manual, None, correction)
    if latest is None:
        return LevelCalibration(None, None, correction)
    return LevelCalibration(latest.full_scale_db_spl, Calibration(latest.id, latest.at), correction)
