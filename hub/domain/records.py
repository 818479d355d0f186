"""What the archive keeps, as values, and how they are written to the fields of a Redis hash."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError
from shared.events import ClockStatus, EventId, Levels
from shared.feature_space import Features, get_space
from shared.messages import LATEST, SensorReport
from shared.taxonomy import CATEGORIES


class WriteState(Enum):
    """What came of writing an event."""

    NEW = -1
    UNFINISHED = 0
    """Archived before, but the hub stopped before it had looked for matches."""
    REPEAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbeddings:
    """What a network computed of an event, so that a start need not.

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
        features: uint8 [frames, dimension] of the feature space `space`.
        presence: probability of each category, float32 [8].
        clip: path of the audio below the clip directory, or "".
        towers: what the hub that archived it computed, if that is worth its room.
        claimed_at: when its sensor claims that it was captured, if that is not believed; see `hub.domain.clocks`.
        clock: what the sensor said of its clock.
        backfilled: whether it is a replay of an old recording.
        rate_hz: sample rate of the capture in Hz; 0 of events that earlier hubs archived.
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


@dataclass(frozen=True, slots=True)
class StoredReport:
    """How a sensor keeps up, as it told last.

    Attributes:
        at: when that was, by its clock.
        waiting: events in its spool that the broker did not have.
        spool: how full its spool was, in [0, 1].
        dropped: clips given up since it was started, as the spool took no more.
        certificate_end: when its certificate ends; None without one.
        set_aside: events kept in its spool that the broker cannot take.
        spool_lost: events that a damaged spool lost since it was started.
        taken_over: how often since then another client with its name ended its connection.
        source_failure: why its source delivers nothing; empty while it delivers.
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
    """What is known of a sensor: its last event, the state it announced and its last report.

    `last_claimed_at` is when its last event that was no replay was captured by the sensor's own clock; `clock` what
    its last report tells of that clock; `software` the program and version that it announced, "" if it did not.
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

    @property
    def clock_skew_s(self) -> float | None:
        """How far its clock is ahead, in seconds, at least; None if that is not known.

        An event that is captured later than it is received tells of a clock that is ahead, too.
        """
        measured = None if self.clock is None or self.clock.boot != self.boot else self.clock.skew_s
        claimed = self.last_claimed_at or self.last_captured_at
        if claimed is None or self.last_received_at is None:
            return measured
        lead_s = (claimed - self.last_received_at).total_seconds()
        return measured if lead_s <= 0.0 else max(lead_s, measured or 0.0)

    @property
    def connected_report(self) -> StoredReport | None:
        """Its report while it is connected: of one that is away nobody knows what its spool holds now."""
        return self.report if self.state == "ready" else None


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """An event that came or went; what hubs tell each other through the archive.

    Attributes:
        event: its id, as text.
        gone: whether it was removed, not added.
    """

    event: str
    gone: bool


FIELDS: Final = (
    "site",
    "captured_ms",
    "received_ms",
    "duration_s",
    "laeq",
    "lafmax",
    "level_unit",
    "space",
    "features",
    "presence",
    "clip",
    "towers",
    "claimed_ms",
    "clock",
    "backfilled",
    "rate_hz",
)
"""Fields of an event's hash, in the order that `stored_of` wants; an event may lack those from `towers` on."""
_NEEDED: Final = FIELDS.index("towers")
_CLOCKS: Final[tuple[ClockStatus, ...]] = get_args(ClockStatus)


def to_redis_hash(event: StoredEvent) -> dict[str, str | bytes]:
    """An event as the fields of its hash."""
    fields: dict[str, str | bytes] = {
        "site": event.site,
        "captured_ms": str(to_ms(event.captured_at)),
        "received_ms": str(to_ms(event.received_at)),
        "duration_s": repr(event.duration_s),
        "laeq": repr(event.levels.laeq),
        "lafmax": repr(event.levels.lafmax),
        "level_unit": event.levels.unit,
        "space": event.space,
        "features": event.features.tobytes(),
        "presence": np.asarray(event.presence, dtype="<f4").tobytes(),
        "clip": event.clip,
        "towers": b"" if event.towers is None else _packed(event.towers),
        "clock": event.clock,
        "backfilled": str(int(event.backfilled)),
        "rate_hz": str(event.rate_hz),
    }
    if event.claimed_at is not None:
        fields["claimed_ms"] = str(to_ms(event.claimed_at))
    return fields


def from_redis_hash(key: str, row: Sequence[bytes | None]) -> StoredEvent | None:
    """An event from its id and the values of `FIELDS`; None if it is not there.

    Raises:
        Invalid: the hash lacks a field, or names a feature space that this hub does not know.
        ValueError: a field holds something else.
    """
    if row[0] is None:
        return None
    needed, (towers, claimed, clock, backfilled, rate) = row[:_NEEDED], row[_NEEDED:]
    values = [value for value in needed if value is not None]
    if len(values) != len(needed):
        raise InvalidError(f"event {key} is archived without {FIELDS[needed.index(None)]}")
    _, captured, received, duration, laeq, lafmax, unit, space_id, features, presence, clip = values
    space = get_space(space_id.decode())
    if len(presence) != 4 * len(CATEGORIES):
        raise InvalidError(f"event {key} is archived with a presence of {len(presence)} bytes")
    return StoredEvent(
        id=EventId.parse(key),
        captured_at=from_ms(captured),
        received_at=from_ms(received),
        duration_s=float(duration),
        levels=Levels(float(laeq), float(lafmax), "dB" if unit == b"dB" else "dBFS"),
        space=space.id,
        features=np.frombuffer(features, dtype=np.uint8).reshape(space.shape),
        presence=tuple(np.frombuffer(presence, dtype="<f4").tolist()),
        clip=clip.decode(),
        towers=_unpacked(towers) if towers else None,
        claimed_at=from_ms(claimed) if claimed else None,
        clock=next((one for one in _CLOCKS if clock == one.encode()), "unknown"),
        backfilled=backfilled == b"1",
        rate_hz=int(rate or 0),
    )


def _packed(towers: StoredEmbeddings) -> bytes:
    """`network:values`, and with an identity `network/length:values identity`, its length in bytes."""
    length = f"/{towers.identity.size}" if towers.identity.size else ""
    return f"{towers.network}{length}:".encode() + towers.values.astype("<f2").tobytes() + towers.identity.tobytes()


def _unpacked(value: bytes) -> StoredEmbeddings | None:
    """None if something else is there, which is as good as nothing: towers can be computed again."""
    head, _, values = value.partition(b":")
    network, _, length = head.partition(b"/")
    try:
        end = len(values) - int(length or 0)
        identity = np.frombuffer(values[end:], dtype=np.int8)
        return StoredEmbeddings(network.decode(), np.frombuffer(values[:end], dtype="<f2"), identity)
    except ValueError:
        return None


def sensor_from_hash(place: str, row: dict[bytes, bytes]) -> Sensor:
    """A sensor from its hash, without its report.

    Raises:
        ValueError: a field holds something else.
    """
    captured, received = row.get(b"last_captured_ms"), row.get(b"last_received_ms")
    return Sensor(
        place=place,
        events=int(row.get(b"events", b"0")),
        last_event=row.get(b"last_event", b"").decode(),
        last_captured_at=from_ms(captured) if captured else None,
        last_received_at=from_ms(received) if received else None,
        state=row.get(b"state", b"unknown").decode(),
        boot=row.get(b"boot", b"").decode(),
        last_claimed_at=from_ms(claimed) if (claimed := row.get(b"last_claimed_ms")) else None,
        clock=_clock_of(row),
        software=row.get(b"software", b"").decode(errors="replace"),
    )


def _clock_of(row: dict[bytes, bytes]) -> ClockReading | None:
    skew = row.get(b"clock_skew_s")
    return None if skew is None else ClockReading(row.get(b"clock_boot", b"").decode(), float(skew))


def report_fields(report: SensorReport) -> dict[str, str | int | float]:
    """A report as fields of its sensor's hash."""
    end = report.certificate_end
    return {
        "reported_ms": to_ms(report.at),
        "waiting": report.waiting,
        "spool": report.spool,
        "dropped": report.dropped,
        "certificate_end_ms": to_ms(end) if end is not None else "",
        "set_aside": report.set_aside,
        "spool_lost": report.spool_lost,
        "taken_over": report.taken_over,
        "source_failure": report.source_failure or "",
    }


def report_of(row: dict[bytes, bytes]) -> StoredReport | None:
    """A sensor's last report from its hash; None if it never sent one.

    Raises:
        KeyError: a field is missing.
        ValueError: a field holds what no message may.
    """
    if b"reported_ms" not in row:
        return None
    end = row[b"certificate_end_ms"]
    told = SensorReport(
        at=from_ms(row[b"reported_ms"]),
        waiting=int(row[b"waiting"]),
        spool=float(row[b"spool"]),
        dropped=int(row[b"dropped"]),
        certificate_end=from_ms(end) if end else None,
        set_aside=int(row.get(b"set_aside", 0)),
        spool_lost=int(row.get(b"spool_lost", 0)),
        taken_over=int(row.get(b"taken_over", 0)),
        source_failure=row.get(b"source_failure", b"").decode(),
    )
    return StoredReport(told.at, told.waiting, told.spool, told.dropped, told.certificate_end)


def to_ms(at: datetime) -> int:
    """A time as ms since 1970 UTC."""
    return round(at.timestamp() * 1000)


LATEST_MS: Final = to_ms(LATEST)


def from_ms(ms: bytes) -> datetime:
    """The time that such a number stands for.

    Raises:
        ValueError: no number, or outside the years that messages may tell.
    """
    if not 0 <= (number := int(ms)) < LATEST_MS:
        raise ValueError("a time outside the years 1970 to 9998")
    return datetime.fromtimestamp(number / 1000, UTC)
