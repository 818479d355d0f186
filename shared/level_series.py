"""The one-second level series of a sensor, and its message on MQTT.

A series holds LAeq, LAFmax and LCeq of consecutive seconds in whole tenths of a decibel: 6 bytes a second. A second
without a level is `NO_LEVEL`; it is never replaced by a value between its neighbours. A series may also hold the
one-third-octave bands of its seconds (`shared.level_bands`): 32 bytes a second.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from shared.errors import InvalidError
from shared.events import EARLIEST, LATEST, Calibration, ClockStatus, LevelUnit, check_name
from shared.level_bands import ROW_BYTES, BandRows
from shared.levels.values import SecondLevels
from shared.messages.codec import VERSION, Message, decode_json, encode_json
from shared.messages.fields import Instant, NamePattern
from shared.mqtt.topics import SensorTopic

Tenths = npt.NDArray[np.int16]

LEVELS: Final = ("laeq", "lafmax", "lceq")
"""The levels of a second, in the order of the columns."""
NO_LEVEL: Final = -32_768
"""Value of a second without levels, in all columns."""
RANGE_TENTHS: Final = 2_500
"""Levels are in [-250, 250] dB, as in events."""
MAX_SECONDS: Final = 3_600
MAX_BAND_SECONDS: Final = 600
"""Longest series with bands: it takes 30.4 kB of base64."""
SERIES_CAP_BYTES: Final = 32 * 1024
"""Largest message: an hour takes 28.8 kB of base64."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelSeries:
    """Levels of consecutive seconds of one sensor.

    Attributes:
        site: site of the sensor.
        sensor: name of the sensor.
        boot: id of the agent's run.
        captured_at: start of the first second by the sensor's clock, a whole second, UTC, in [EARLIEST, LATEST).
        tenths: int16 [seconds, 3], LAeq, LAFmax and LCeq in 0.1 dB, or `NO_LEVEL` in all three.
        unit: `dBFS` until the sensor is calibrated, then `dB` (re 20 µPa).
        clock: whether the sensor's clock could be trusted.
        backfilled: True if the sound is a replay of old recordings.
        calibration: what makes the levels sound pressure levels; None as in events.
        bands: uint8 [seconds, 32], rows of `shared.level_bands`; a row of zeros is a second without bands. None if
            no second has bands.

    Raises:
        InvalidError: a value outside its range.
    """

    site: str
    sensor: str
    boot: str
    captured_at: datetime
    tenths: Tenths
    unit: LevelUnit = "dBFS"
    clock: ClockStatus = "unknown"
    backfilled: bool = False
    calibration: Calibration | None = None
    bands: BandRows | None = None

    def __post_init__(self) -> None:
        for name, value in (("site", self.site), ("sensor", self.sensor), ("boot id", self.boot)):
            check_name(value, name)
        if self.captured_at.tzinfo is None or self.captured_at.microsecond:
            raise InvalidError(f"start {self.captured_at.isoformat()} must be a whole second with a time zone")
        if not EARLIEST <= self.captured_at < LATEST:
            raise InvalidError(f"start {self.captured_at.isoformat()} is outside the years 1970 to 2199")
        if self.tenths.ndim != 2 or self.tenths.shape[1] != len(LEVELS) or not 1 <= len(self.tenths) <= MAX_SECONDS:
            raise InvalidError(f"levels of shape {self.tenths.shape} are not [1 to {MAX_SECONDS}, {len(LEVELS)}]")
        missing = self.tenths == NO_LEVEL
        if (missing.any(axis=1) != missing.all(axis=1)).any():
            raise InvalidError("a second must have all levels or none")
        if (np.abs(self.tenths.astype(np.int32))[~missing] > RANGE_TENTHS).any():
            raise InvalidError("a level is outside [-250, 250] dB")
        if self.bands is not None:
            _check_bands(self.bands, self.present)

    @property
    def place(self) -> str:
        """Return `site/sensor`."""
        return f"{self.site}/{self.sensor}"

    @property
    def duration_s(self) -> float:
        """Return the length in seconds."""
        return float(len(self.tenths))

    @property
    def start_s(self) -> int:
        """Return the start of the first second, in seconds since 1970 UTC."""
        return int(self.captured_at.timestamp())

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Return which seconds have levels, bool [seconds]."""
        return np.asarray(self.tenths[:, 0] != NO_LEVEL)

    def split(self, period_s: int) -> Iterator["LevelSeries"]:
        """Yield the parts of each period (minute, hour), in order."""
        first = 0
        while first < len(self.tenths):
            start_s = self.start_s + first
            last = min(len(self.tenths), first + period_s - start_s % period_s)
            at = self.captured_at + timedelta(seconds=first)
            bands = None if self.bands is None else self.bands[first:last]
            yield replace(self, captured_at=at, tenths=self.tenths[first:last], bands=bands)
            first = last

    def joined(self, later: "LevelSeries", period_s: int) -> "LevelSeries | None":
        """Return this series and a later one as one, with `NO_LEVEL` in between.

        Returns:
            None if the later one begins before the end of this one or in another period, or differs in anything else
            than time and levels.
        """
        gap = later.start_s - self.start_s - len(self.tenths)
        same = all(getattr(later, name) == getattr(self, name) for name in _CONTEXT)
        if gap < 0 or not same or later.start_s // period_s != self.start_s // period_s:
            return None
        between = np.full((gap, len(LEVELS)), NO_LEVEL, dtype=np.int16)
        bands = None
        if self.bands is not None or later.bands is not None:
            without = np.zeros((gap, ROW_BYTES), dtype=np.uint8)
            bands = np.concatenate([_rows_of(self), without, _rows_of(later)])
        return replace(self, tenths=np.concatenate([self.tenths, between, later.tenths]), bands=bands)


_CONTEXT: Final = ("site", "sensor", "boot", "unit", "clock", "backfilled", "calibration")


def _rows_of(series: LevelSeries) -> BandRows:
    """Return the bands of a series; rows of zeros if it has none."""
    return np.zeros((len(series.tenths), ROW_BYTES), dtype=np.uint8) if series.bands is None else series.bands


def _check_bands(bands: BandRows, present: npt.NDArray[np.bool_]) -> None:
    if bands.shape != (len(present), ROW_BYTES) or len(present) > MAX_BAND_SECONDS:
        raise InvalidError(
            f"bands of shape {bands.shape} are not [{len(present)}, {ROW_BYTES}] with at most {MAX_BAND_SECONDS} rows"
        )
    if bands[(bands[:, 0] == 0) | ~present].any():
        raise InvalidError("a second has bands without a base or without levels")


def tenths_of(seconds: Sequence[SecondLevels]) -> Tenths:
    """Return the levels of seconds in 0.1 dB, int16 [seconds, 3].

    Raises:
        InvalidError: a level that is not finite or is outside [-250, 250] dB.
    """
    levels = np.array([[getattr(second, name) for name in LEVELS] for second in seconds], dtype=np.float64)
    rounded = np.rint(10.0 * levels.reshape(-1, len(LEVELS)))
    if not (np.abs(rounded) <= RANGE_TENTHS).all():
        raise InvalidError("a level of a second is not a finite number of dB in [-250, 250]")
    return rounded.astype(np.int16)


class LevelSeriesMessage(Message):
    """Levels of consecutive seconds of a sensor.

    `start` is the start of the first second, a whole second. `seconds` is their number. `levels` is base64
    (RFC 4648, 4) of LAeq, LAFmax and LCeq of each second in turn, each a 16-bit little-endian integer in 0.1 dB;
    -32768 in all three means that the second has no levels. A hub that receives a second again writes the same value
    to the same place. `clock`, `calibration` and `calibrated_at` are those of events.

    `bands` is base64 of the one-third-octave bands of each second in turn, at most 600 seconds; null if the sensor
    does not send them. A second has 32 unsigned bytes: the base, a whole number of dB plus 128, and the codes of 31
    bands from 20 Hz to 20 kHz. The level of a band is the base plus (code - 1) / 2 dB; code 0 means that it has none.
    Zero in all 32 means that the second has no bands.
    """

    version: Literal[1] = VERSION
    site: NamePattern
    sensor: NamePattern
    boot: NamePattern
    start: Instant
    seconds: int = Field(ge=1, le=MAX_SECONDS)
    level_unit: LevelUnit
    levels: str = Field(max_length=8 * MAX_SECONDS)
    bands: str | None = Field(default=None, max_length=4 * ROW_BYTES * MAX_BAND_SECONDS // 3)
    clock: ClockStatus
    backfilled: bool = False
    calibration: NamePattern | None = None
    calibrated_at: Instant | None = None

    @model_validator(mode="after")
    def _dated_calibration(self) -> "LevelSeriesMessage":
        if (self.calibration is None) != (self.calibrated_at is None):
            raise ValueError("calibration and calibrated_at must be given together")
        return self


def encode_series(series: LevelSeries) -> bytes:
    """Encode a series as a JSON message."""
    calibration = series.calibration
    return encode_json(
        LevelSeriesMessage(
            site=series.site,
            sensor=series.sensor,
            boot=series.boot,
            start=series.captured_at,
            seconds=len(series.tenths),
            level_unit=series.unit,
            levels=base64.b64encode(series.tenths.astype("<i2").tobytes()).decode(),
            bands=None if series.bands is None else base64.b64encode(series.bands.tobytes()).decode(),
            clock=series.clock,
            backfilled=series.backfilled,
            calibration=None if calibration is None else calibration.id,
            calibrated_at=None if calibration is None else calibration.at.astimezone(UTC),
        )
    )


def decode_series(payload: bytes, topic: SensorTopic | None = None) -> LevelSeries:
    """Decode a message; if a topic is given, it must be that of the same sensor.

    Raises:
        InvalidError: too large, not JSON, a field missing or out of range, levels that are no base64 or of another
            number, or a message sent on another sensor's topic.
        UnsupportedError: a later version of the message.
    """
    message = decode_json(LevelSeriesMessage, payload, SERIES_CAP_BYTES)
    if topic is not None and (topic.site, topic.sensor) != (message.site, message.sensor):
        raise InvalidError(
            f"levels of {message.site}/{message.sensor} came on the topic of {topic.site}/{topic.sensor}"
        )
    raw = _bytes_of(message, "levels", message.levels, 2 * len(LEVELS))
    bands = None
    if message.bands is not None:
        found = _bytes_of(message, "bands", message.bands, ROW_BYTES)
        bands = np.frombuffer(found, dtype=np.uint8).reshape(-1, ROW_BYTES)
    calibration = None
    if message.calibration is not None and message.calibrated_at is not None:
        calibration = Calibration(message.calibration, message.calibrated_at)
    return LevelSeries(
        site=message.site,
        sensor=message.sensor,
        boot=message.boot,
        captured_at=message.start,
        tenths=np.frombuffer(raw, dtype="<i2").astype(np.int16).reshape(-1, len(LEVELS)),
        unit=message.level_unit,
        clock=message.clock,
        backfilled=message.backfilled,
        calibration=calibration,
        bands=bands,
    )


def _bytes_of(message: LevelSeriesMessage, name: str, text: str, second_bytes: int) -> bytes:
    """Return what a field holds of all seconds.

    Raises:
        InvalidError: it is no base64, or holds another number of seconds.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(f"LevelSeriesMessage: {name} is not base64: {error}") from error
    wanted = second_bytes * message.seconds
    if len(raw) != wanted:
        raise InvalidError(
            f"LevelSeriesMessage: {message.seconds} seconds need {wanted} bytes, {name} has {len(raw)}"
        )
    return raw
