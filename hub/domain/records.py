"""Values that the store keeps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.sensor_edits import SensorEdits
from shared.events import Calibration, ClockStatus, EventId, Levels
from shared.feature_space import Features
from shared.messages.fields import LATEST
from shared.messages.sensor import SensorHealth, ShedRange


class WriteState(Enum):
    """The result of writing an event."""

    NEW = -1
    UNFINISHED = 0
    """Archived before, but the hub stopped before it had looked for matches."""
    REPEAT = 1
    ERASED = 2
    """Not archived, as its sensor was erased for the time of its capture."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbeddings:
    """Results of a network for an event, kept so that a start need not compute them again.

    Attributes:
        network: the scorer's fingerprint.
        values: float16 [steps * width], the tower output, flat.
        identity: int8 [values], in steps of 1 / 127; none if the network has no identity.
    """

    network: str
    values: npt.NDArray[np.float16]
    identity: npt.NDArray[np.int8] = field(default_factory=lambda: np.empty(0, dtype=np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class StoredEvent:
    """An archived event.

    Attributes:
        captured_at: when it is taken to have been captured: what orders, matches and expires.
        received_at: when it came, by the hub's clock.
        levels: sound levels. The store writes their details; they are None when it returns an event, and
            `hub.store.level_details` reads them.
        features: uint8 [frames, dimension] of the feature space `space`.
        presence: probability of each category, float32 [8].
        clip: path of the audio below the clip directory, or "".
        towers: what the hub that archived it computed, if that is worth its room.
        claimed_at: when its sensor claims that it was captured, if that is not believed; see `hub.domain.clocks`.
        clock: the state of its clock as the sensor reported it.
        backfilled: whether it is a replay of an old recording.
        rate_hz: sample rate of the capture in Hz; 0 of events that earlier hubs archived.
        calibration: of the sensor, as it reported it; None without one, and of events that earlier hubs archived.
        backlog: whether it waited in its sensor's spool because the broker or the hubs did not take it.
        sealed_to: public keys that its audio is sealed to; empty if the audio is in clear, or there is none.
    """

    id: EventId
    captured_at: datetime
    received_at: datetime
    duration_s: float
    levels: Levels
    space: str
    features: Features
    presence: tuple[float, ...]
    clip: str = ""
    towers: StoredEmbeddings | None = None
    claimed_at: datetime | None = None
    clock: ClockStatus = "unknown"
    backfilled: bool = False
    rate_hz: int = 0
    calibration: Calibration | None = None
    backlog: bool = False
    sealed_to: tuple[str, ...] = ()

    @property
    def site(self) -> str:
        """The network's name."""
        return self.id.site

    @property
    def place(self) -> str:
        """`site/sensor`."""
        return f"{self.site}/{self.id.sensor}"

    @property
    def delivery_s(self) -> float:
        """From its end to its receipt, in seconds; below 0 if the sensor's clock is ahead."""
        return (self.received_at - self.captured_at).total_seconds() - self.duration_s

    @property
    def calibration_age_days(self) -> float | None:
        """The age of its calibration when it was captured, in days; None if that is not known."""
        return None if self.calibration is None else self.calibration.age_days(self.captured_at)


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The last report of a sensor.

    Attributes:
        at: when that was, by its clock.
        waiting: events in its spool that the broker did not have.
        spool: how full its spool was, in [0, 1].
        dropped: clips dropped since it was started, because the spool was full.
        certificate_end: when its certificate ends; None without one.
        set_aside: events kept in its spool that the broker cannot take.
        spool_lost: events that a damaged spool lost since it was started.
        taken_over: how often since then another client with its name ended its connection.
        source_failure: why its source delivers nothing; empty while it delivers.
        health: of its machine; None if it sent none.
        shed: what its spool shed, by ranges of sequence numbers, the latest last.
        capture_gap_s: time since its start for which its source delivered no sound; None if it did not report it.
    """

    at: datetime
    waiting: int
    spool: float
    dropped: int
    certificate_end: datetime | None
    set_aside: int = 0
    spool_lost: int = 0
    taken_over: int = 0
    source_failure: str = ""
    health: SensorHealth | None = None
    shed: tuple[ShedRange, ...] = ()
    capture_gap_s: float | None = None


@dataclass(frozen=True, slots=True)
class ClockReading:
    """A sensor's clock beside a hub's.

    Attributes:
        boot: of the sensor, when it was read.
        skew_s: how far the sensor's is ahead, in seconds; below 0 if it is behind.
    """

    boot: str
    skew_s: float


@dataclass(frozen=True, slots=True)
class Sensor:
    """State of a sensor: its last event, the state it announced and its last report.

    `last_claimed_at` is when its last event that was no replay was captured by the sensor's own clock; `clock` what
    its last report states of that clock; `software` the program and version that it announced, "" if it did not.
    `last_levels_at` is when its last level series came; `edits` what operators set on its page.
    """

    place: str
    events: int
    last_event: str
    last_captured_at: datetime | None
    last_received_at: datetime | None
    state: str
    boot: str
    report: StoredReport | None = None
    last_claimed_at: datetime | None = None
    clock: ClockReading | None = None
    software: str = ""
    last_levels_at: datetime | None = None
    edits: SensorEdits = field(default_factory=SensorEdits)

    @property
    def last_message_at(self) -> datetime | None:
        """When its last event or level series came; None before the first."""
        return max((at for at in (self.last_received_at, self.last_levels_at) if at is not None), default=None)

    @property
    def clock_skew_s(self) -> float | None:
        """Seconds that its clock is ahead, at least; None if that is not known.

        An event that is captured later than it is received shows a clock that is ahead, too.
        """
        measured = None if self.clock is None or self.clock.boot != self.boot else self.clock.skew_s
        claimed = self.last_claimed_at or self.last_captured_at
        if claimed is None or self.last_received_at is None:
            return measured
        lead_s = (claimed - self.last_received_at).total_seconds()
        return measured if lead_s <= 0.0 else max(lead_s, measured or 0.0)

    @property
    def connected_report(self) -> StoredReport | None:
        """Return its report while it is connected, else None: what the spool holds now is not known."""
        return self.report if self.state == "ready" else None


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """An event that was added or removed; hubs follow each other by these records.

    Attributes:
        event: its id, as text.
        gone: whether it was removed, not added.
    """

    event: str
    gone: bool


def to_ms(at: datetime) -> int:
    """Return a time as ms since 1970 UTC."""
    return round(at.timestamp() * 1000)


LATEST_MS: Final = to_ms(LATEST)


def from_ms(ms: bytes) -> datetime:
    """Return the time of a number of ms since 1970 UTC.

    Raises:
        ValueError: no number, or outside the years that messages may have.
    """
    if not 0 <= (number := int(ms)) < LATEST_MS:
        raise ValueError("a time outside the years 1970 to 9998")
    return datetime.fromtimestamp(number / 1000, UTC)
