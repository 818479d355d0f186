"""Event values: the data of one clip of a sensor, validated at construction.

Both programs use these values internally; `shared.messages.event` encodes and decodes them.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from shared.errors import InvalidError
from shared.feature_space import Features, get_space
from shared.levels.values import LevelDetails
from shared.sealed_sound import SealedSound

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""Pattern of a site, sensor or boot id (architecture: wire contract)."""

CLIP_S: Final = 10.0
"""Nominal length of a clip in seconds. Source: the paper, section 4.1."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Earliest capture time on the wire: that of a clock that was never set."""
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Capture times on the wire are before this. The hub compares them with the time of receipt to reject wrong ones."""

LevelUnit = Literal["dBFS", "dB"]
ClockStatus = Literal["synchronised", "unsynchronised", "unknown"]


def check_name(value: str, what: str) -> str:
    """Return the value if it is a valid id.

    Raises:
        InvalidError: it does not match `NAME`.
    """
    if not NAME.fullmatch(value):
        raise InvalidError(f"{what} {value!r} must match {NAME.pattern}")
    return value


@dataclass(frozen=True, slots=True, order=True)
class EventId:
    """The identity of an event: site, sensor, boot id of the agent's run, and number of the clip in that run.

    `str()` returns `site.sensor.boot.seq`, which is safe in URLs, keys and file names. `parse` reads it back.

    Raises:
        InvalidError: a part that does not match its pattern or range.
    """

    site: str
    sensor: str
    boot: str
    seq: int

    def __post_init__(self) -> None:
        check_name(self.site, "site")
        check_name(self.sensor, "sensor")
        check_name(self.boot, "boot id")
        if not 0 <= self.seq < 2**53:
            raise InvalidError(f"seq {self.seq} must be in [0, 2**53)")

    def __str__(self) -> str:
        return f"{self.site}.{self.sensor}.{self.boot}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "EventId":
        """Parse `site.sensor.boot.seq`.

        Raises:
            InvalidError: the text is not an event id.
        """
        parts = text.split(".")
        if len(parts) != 4 or not re.fullmatch(r"[0-9]{1,16}", parts[3]):
            raise InvalidError(f"{text!r} is not an event id (site.sensor.boot.seq)")
        site, sensor, boot, seq = parts
        return cls(site, sensor, boot, int(seq))


@dataclass(frozen=True, slots=True)
class Levels:
    """Sound levels of one clip.

    Attributes:
        laeq: equivalent continuous A-weighted level, an energy mean.
        lafmax: highest A-weighted level with the Fast time weighting (125 ms).
        unit: `dBFS` until the sensor is calibrated, then `dB` (re 20 µPa).
        details: further levels; None if the sensor did not measure them.

    Raises:
        InvalidError: a level that is not finite or is outside [-200, 200].

    Source: IEC 61672-1.
    """

    laeq: float
    lafmax: float
    unit: LevelUnit = "dBFS"
    details: LevelDetails | None = None

    def __post_init__(self) -> None:
        for name, value in (("laeq", self.laeq), ("lafmax", self.lafmax)):
            if not (math.isfinite(value) and -200.0 <= value <= 200.0):
                raise InvalidError(f"level {name} = {value} is not a finite number of dB in [-200, 200]")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration by which a sensor's levels are sound pressure levels.

    Attributes:
        id: its id in the sensor's history.
        at: when it was made, by the sensor's clock, timezone-aware, UTC, in [EARLIEST, LATEST).

    Raises:
        InvalidError: a value outside its range.
    """

    id: str
    at: datetime

    def __post_init__(self) -> None:
        check_name(self.id, "calibration id")
        if self.at.tzinfo is None or not EARLIEST <= self.at < LATEST:
            raise InvalidError(f"calibration time {self.at.isoformat()} needs a time zone and a year in 1970 to 2199")

    def age_days(self, at: datetime) -> float | None:
        """Return its age at a time, in days; None if the time is before it (one of the two clocks was wrong)."""
        days = (at - self.at).total_seconds() / 86_400.0
        return round(days, 3) if days >= 0.0 else None


@dataclass(frozen=True, slots=True)
class Flac:
    """The audio of a clip, as the bytes of a mono FLAC file.

    Raises:
        InvalidError: no bytes, or not FLAC.
    """

    data: bytes

    def __post_init__(self) -> None:
        if not self.data.startswith(b"fLaC"):
            raise InvalidError("the audio is not a FLAC stream")


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The embedding of a clip, computed on the sensor.

    Attributes:
        space: id of the feature space.
        features: uint8 [frames, dimension] of that space.

    Raises:
        InvalidError: unknown space, wrong shape or dtype.
    """

    space: str
    features: Features

    def __post_init__(self) -> None:
        get_space(self.space).check(self.features)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Embedding)
            and self.space == other.space
            and self.features.tobytes() == other.features.tobytes()
        )

    def __hash__(self) -> int:
        return hash((self.space, self.features.tobytes()))


@dataclass(frozen=True, slots=True)
class Event:
    """One clip that a sensor reports.

    Attributes:
        id: identity; a repeat of the same id has no effect.
        captured_at: start of the clip by the sensor's clock, timezone-aware, UTC, in [EARLIEST, LATEST). The hub
            decides whether that clock was right (`hub.domain.clocks`).
        clock: whether the sensor's clock could be trusted; `unsynchronised` if its time was implausible.
        backfilled: True if the clip is a replay of old recordings.
        duration_s: length of the clip in seconds, in (0, 60].
        rate_hz: sample rate of the capture in Hz, in [1,000, 384,000].
        levels: sound levels, measured at the full rate.
        body: audio of the clip, or its embedding.
        calibration: what makes its levels sound pressure levels; None if the sensor was never calibrated, was
            calibrated by hand, or has an earlier version.
        backlog: True if the event waited in the sensor's spool because the broker or the hubs did not take it.
        sound: audio of the clip next to its embedding, in clear or sealed; None if the sensor keeps it back.

    Raises:
        InvalidError: a value outside its range, or `sound` next to a body that is audio itself.
    """

    id: EventId
    captured_at: datetime
    duration_s: float
    rate_hz: int
    levels: Levels
    body: Flac | Embedding
    clock: ClockStatus = "unknown"
    backfilled: bool = False
    calibration: Calibration | None = None
    sound: Flac | SealedSound | None = None
    backlog: bool = False

    def __post_init__(self) -> None:
        if self.sound is not None and not isinstance(self.body, Embedding):
            raise InvalidError("only an event with an embedding has sound next to it")
        if self.captured_at.tzinfo is None:
            raise InvalidError("captured_at needs a time zone")
        if not EARLIEST <= self.captured_at < LATEST:
            raise InvalidError(f"captured_at {self.captured_at.isoformat()} is outside the years 1970 to 2199")
        if not 0.0 < self.duration_s <= 60.0:
            raise InvalidError(f"duration {self.duration_s} s is outside (0, 60]")
        if not 1_000 <= self.rate_hz <= 384_000:
            raise InvalidError(f"sample rate {self.rate_hz} Hz is outside [1000, 384000]")

    @property
    def site(self) -> str:
        """Return the site's name."""
        return self.id.site

    @property
    def boot(self) -> str:
        """Return the id of the agent's run."""
        return self.id.boot

    @property
    def audio(self) -> Flac | SealedSound | None:
        """Return the audio of the clip, as the body or next to an embedding, in clear or sealed; None without."""
        return self.body if isinstance(self.body, Flac) else self.sound

    @property
    def place(self) -> str:
        """Return `site/sensor`, the key of the sensor across all sites."""
        return f"{self.site}/{self.id.sensor}"
