"""The messages on MQTT: the CBOR event message, and the JSON state and alert messages.

Pydantic models are used at this boundary only; the programs use `shared.events` internally. Every decoder limits the
size before it parses, and raises `InvalidError` with a reason for the dead letter.

Every number, text and list is bounded, and every time can be converted to UTC. Decoders ignore unknown fields, so a
hub accepts messages of newer sensors and rows that a newer hub stored. A change of the meaning of a known field
increments `VERSION`. A program rejects messages with a version that it does not know.
"""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

import cbor2
import numpy as np
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import InvalidError, UnsupportedError
from shared.events import Calibration, ClockStatus, Embedding, Event, EventId, Flac, Levels, LevelUnit
from shared.feature_space import get_space
from shared.levels.values import MOST_BANDS, LevelDetails
from shared.mqtt.topics import SensorTopic
from shared.sealed_sound import MOST_KEYS, PUBLIC_KEY_PATTERN, SealedSound
from shared.taxonomy import CATEGORIES

VERSION: Final = 1
EVENT_CONTENT_TYPE: Final = "application/cbor"
JSON_CONTENT_TYPE: Final = "application/json"
EVENT_CAP_BYTES: Final = 8 * 1024 * 1024
"""Largest event message: 60 s of 48 kHz 16-bit mono that FLAC could not compress is 5.8 MB."""
STATE_CAP_BYTES: Final = 16 * 1024
STATE_EXPIRY_S: Final = 315_360_000
"""Message expiry of a sensor's state in seconds: ten years. A broker that forwards a message subtracts the time for
which it kept the message. So a hub knows when the state was sent, and measures the offset of the sensor's clock.
Source: MQTT 5.0, 3.3.2.3.3."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
LAST: Final = LATEST - timedelta(seconds=1)
"""Times of messages are in [EARLIEST, LATEST), so they exist in every time zone. Source: `datetime.MAXYEAR`."""


def in_utc(at: datetime) -> datetime:
    """Return an aware time in UTC.

    Raises:
        ValueError: it is outside [EARLIEST, LATEST).
    """
    try:
        moment = at.astimezone(UTC)
    except OverflowError:  # years 1 and 9999 with an offset
        moment = LATEST
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"must be in the years {EARLIEST.year} to {LATEST.year - 1}, in UTC")
    return moment


def _end_in_utc(at: datetime) -> datetime:
    """Return the time in UTC like `in_utc`; the year 9999, which means "no end", becomes `LAST`.

    Source: RFC 5280, 4.1.2.5.
    """
    return LAST if at.year == LATEST.year and at.utcoffset() == timedelta() else in_utc(at)


Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""A time of a message, always in UTC."""
EndTime = Annotated[AwareDatetime, AfterValidator(_end_in_utc)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A number of items. Source: RFC 8259, 6 (integers that every program can read)."""
Decibels = Annotated[float, Field(ge=-200.0, le=200.0)]
DetailDecibels = Annotated[float, Field(ge=-250.0, le=250.0)]
ItemId = Annotated[str, Field(max_length=256)]
"""Id of an event, an episode or an alert, or a sensor key (`site/sensor`)."""
CategoryName = Annotated[str, Field(max_length=64)]
NamePattern = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
PublicKey = Annotated[str, Field(pattern=PUBLIC_KEY_PATTERN)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Severity = Literal["notice", "recurring", "urgent"]
"""`recurring`: the episode recurs regularly; `urgent`: it does and is far above ambient. Source: docs/flagging.md."""


class Message(BaseModel):
    """Base of every message: bounded values, unknown fields ignored, immutable, no NaN or infinity."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class LevelDetailsMessage(Message):
    """Levels of one clip beyond LAeq and LAFmax, in the event's `level_unit`.

    `lceq`, `lzeq`: equivalent continuous levels. `lafmin`: lowest Fast level. `lasmax`, `laimax`: highest Slow and
    Impulse level. `laieq`: energy mean of the Impulse level. `lcpeak`: C-weighted peak. `lae`: sound exposure level.
    `l1` to `l95`: Fast levels exceeded 1 to 95 percent of the time. `bands`: third-octave bands from 20 Hz upwards;
    bands above the range of the sample rate are missing. `overload`: a sample reached full scale. `under_range`: the
    Fast level fell below the linear range. `ambient`: running ambient level, the Fast level exceeded nine tenths of
    the last minutes.
    """

    lceq: DetailDecibels
    lzeq: DetailDecibels
    lafmin: DetailDecibels
    lasmax: DetailDecibels
    laimax: DetailDecibels
    laieq: DetailDecibels
    lcpeak: DetailDecibels
    lae: DetailDecibels
    l1: DetailDecibels
    l5: DetailDecibels
    l10: DetailDecibels
    l50: DetailDecibels
    l90: DetailDecibels
    l95: DetailDecibels
    bands: tuple[DetailDecibels, ...] = Field(default=(), max_length=MOST_BANDS)
    overload: bool = False
    under_range: bool = False
    ambient: DetailDecibels | None = None


class EventMessage(Message):
    """One event as sent. It is self-contained, so that it can be spooled, replayed, dead-lettered and archived.

    Exactly one of `flac` and `embedding` is given; `space` is the id of the embedding's feature space. `sound` is the
    FLAC audio next to an embedding: the hub keeps it for playback and does not embed it. `sealed` is this audio as an
    encrypted file in the age format, and `sealed_to` the public keys whose private keys open it; both are given
    together, and never next to `sound`. `calibration` is the id of the sensor's calibration and `calibrated_at` its
    time; both are missing if there is none.
    """

    version: Literal[1] = VERSION
    site: NamePattern
    sensor: NamePattern
    boot: NamePattern
    seq: int = Field(ge=0, lt=2**53, strict=True)
    captured_at: Instant
    clock: ClockStatus
    backfilled: bool
    duration_s: float = Field(gt=0.0, le=60.0)
    rate_hz: int = Field(ge=1_000, le=384_000)
    laeq: Decibels
    lafmax: Decibels
    level_unit: LevelUnit
    level_details: LevelDetailsMessage | None = None
    calibration: NamePattern | None = None
    calibrated_at: Instant | None = None
    flac: bytes | None = Field(default=None, min_length=4, strict=True)
    space: str | None = Field(default=None, max_length=64)
    embedding: bytes | None = Field(default=None, max_length=65_536, strict=True)
    sound: bytes | None = Field(default=None, min_length=4, strict=True)
    sealed: bytes | None = Field(default=None, min_length=4, strict=True)
    sealed_to: tuple[PublicKey, ...] | None = Field(default=None, min_length=1, max_length=MOST_KEYS)

    @model_validator(mode="after")
    def _one_body(self) -> "EventMessage":
        if (self.flac is None) == (self.embedding is None):
            raise ValueError("exactly one of flac and embedding must be given")
        if (self.embedding is None) != (self.space is None):
            raise ValueError("an embedding needs its feature space, and audio must not name one")
        if self.sound is not None and self.embedding is None:
            raise ValueError("sound is given only next to an embedding")
        if (self.sealed is None) != (self.sealed_to is None):
            raise ValueError("sealed and sealed_to must be given together")
        if self.sealed is not None and (self.embedding is None or self.sound is not None):
            raise ValueError("sealed is given only next to an embedding, and not next to sound")
        return self

    @model_validator(mode="after")
    def _dated_calibration(self) -> "EventMessage":
        if (self.calibration is None) != (self.calibrated_at is None):
            raise ValueError("calibration and calibrated_at must be given together")
        return self


def encode_event(event: Event) -> bytes:
    """Encode an event as a CBOR message (RFC 8949)."""
    body: dict[str, Any]
    match event.body:
        case Flac(data):
            body = {"flac": data}
        case Embedding(space, features):
            body = {"space": space, "embedding": features.tobytes()}
    if event.calibration is not None:
        at = event.calibration.at.astimezone(UTC).isoformat()
        body |= {"calibration": event.calibration.id, "calibrated_at": at}
    match event.sound:
        case Flac(data):
            body["sound"] = data
        case SealedSound(data, keys):
            body |= {"sealed": data, "sealed_to": list(keys)}
    return cbor2.dumps(
        {
            "version": VERSION,
            "site": event.site,
            "sensor": event.id.sensor,
            "boot": event.id.boot,
            "seq": event.id.seq,
            "captured_at": event.captured_at.astimezone(UTC).isoformat(),
            "clock": event.clock,
            "backfilled": event.backfilled,
            "duration_s": event.duration_s,
            "rate_hz": event.rate_hz,
            "laeq": event.levels.laeq,
            "lafmax": event.levels.lafmax,
            "level_unit": event.levels.unit,
            **({} if event.levels.details is None else {"level_details": asdict(event.levels.details)}),
            **body,
        }
    )


def decode_event(payload: bytes, topic: SensorTopic | None = None) -> Event:
    """Decode an event message; if a topic is given, it must be that of the same sensor.

    Raises:
        InvalidError: too large, not CBOR, a field missing or out of range, wrong shape, or a message sent on another
            sensor's topic.
        UnsupportedError: an unknown feature space, or a later version of the message.
    """
    if len(payload) > EVENT_CAP_BYTES:
        raise InvalidError(f"event message of {len(payload)} bytes is over the cap of {EVENT_CAP_BYTES}")
    try:
        fields = cbor2.loads(payload, max_depth=4)
    except Exception as error:  # any exception: other modules decode tagged values
        raise InvalidError(f"event message is not CBOR: {_truncated(error)}") from error
    message = _validate(EventMessage, fields, "event message")
    if topic is not None and (topic.site, topic.sensor) != (message.site, message.sensor):
        raise InvalidError(
            f"event of {message.site}/{message.sensor} came on the topic of {topic.site}/{topic.sensor}"
        )
    return Event(
        id=EventId(site=message.site, sensor=message.sensor, boot=message.boot, seq=message.seq),
        captured_at=message.captured_at,
        clock=message.clock,
        backfilled=message.backfilled,
        duration_s=message.duration_s,
        rate_hz=message.rate_hz,
        levels=_levels(message),
        body=_body(message),
        calibration=_calibration(message),
        sound=_sound(message),
    )


def _levels(message: EventMessage) -> Levels:
    details = message.level_details
    known = None if details is None else LevelDetails(**details.model_dump())
    return Levels(laeq=message.laeq, lafmax=message.lafmax, unit=message.level_unit, details=known)


def _calibration(message: EventMessage) -> Calibration | None:
    if message.calibration is None or message.calibrated_at is None:
        return None
    return Calibration(message.calibration, message.calibrated_at)


def _body(message: EventMessage) -> Flac | Embedding:
    if message.flac is not None:
        return Flac(message.flac)
    space = get_space(message.space or "")
    raw = np.frombuffer(message.embedding or b"", dtype=np.uint8)
    if raw.size != space.frames * space.dimension:
        raise InvalidError(f"{space.id} wants {space.frames} x {space.dimension} bytes, got {raw.size}")
    return Embedding(space=space.id, features=raw.reshape(space.shape))


def _sound(message: EventMessage) -> Flac | SealedSound | None:
    if message.sealed is not None:
        return SealedSound(message.sealed, message.sealed_to or ())
    return None if message.sound is None else Flac(message.sound)


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class SensorHealth(Message):
    """Health of a sensor's machine; a value is null where the platform does not provide it.

    `temperature_c` is the highest temperature of the machine. `disk_free_bytes` and `disk_used` are of the spool's
    disk. `memory_used` and `cpu_used` are shares; `cpu_used` is the share of all cores since the report before.
    `under_voltage` is true while the supply voltage is too low, `under_voltage_seen` if it was since the machine
    started. `uptime_s` is the time since then.
    """

    temperature_c: float | None = Field(default=None, ge=-100.0, le=200.0)
    disk_free_bytes: Count | None = None
    disk_used: Share | None = None
    memory_used: Share | None = None
    cpu_used: Share | None = None
    under_voltage: bool | None = None
    under_voltage_seen: bool | None = None
    uptime_s: float | None = Field(default=None, ge=0.0, le=1e10)
    clock: ClockStatus | None = None


class SensorReport(Message):
    """State of a sensor's spool, source and connection at the time `at`.

    `waiting` is the number of events in the spool that the broker does not have yet. `spool` is the used share of the
    spool, in [0, 1]. `dropped` counts clips dropped since the start because the spool was full or failed.
    `certificate_end` is the end of the validity of the sensor's certificate, if it has one.

    `first_seq` and `highest_seq` are the first and the latest sequence number of this boot, null before the first
    clip. `previous_boot` and `previous_seq` are the previous boot and its latest sequence number in the spool.
    `set_aside` counts events in the spool that the broker cannot take. `spool_lost` counts events that a damaged
    spool lost since the start. `taken_over` counts connections since the start that another client with this sensor's
    client id ended. `source_failure` is the reason why the source delivers nothing, null while it delivers. `health`
    is the health of the sensor's machine; sensors of earlier versions do not send it.

    `sound_over_budget` and `features_over_budget` count clips whose sound or embedding was left out because the
    bandwidth budget was used up. `speech_removed_s` is the length of the clips whose sound was withheld because of
    speech, in seconds. All three count since the start.
    """

    at: Instant
    waiting: Count
    spool: float = Field(ge=0.0, le=1.0)
    dropped: Count
    certificate_end: EndTime | None = None
    first_seq: Count | None = None
    highest_seq: Count | None = None
    previous_boot: NamePattern | None = None
    previous_seq: Count | None = None
    set_aside: Count = 0
    spool_lost: Count = 0
    taken_over: Count = 0
    source_failure: str | None = Field(default=None, max_length=200)
    sound_over_budget: Count = 0
    features_over_budget: Count = 0
    speech_removed_s: float = Field(default=0.0, ge=0.0)
    health: SensorHealth | None = None


class StateMessage(Message):
    """A sensor's retained state; the last will is the same message with state `lost` and without a report.

    The boot id distinguishes a late will of an old session from the current session. Source: Sparkplug 3.0, 5 and 6.
    """

    version: Literal[1] = VERSION
    site: NamePattern
    sensor: NamePattern
    boot: NamePattern
    state: Literal["ready", "disconnected", "lost"]
    source: str = Field(max_length=64)
    payload_format: str = Field(max_length=64)
    software: str = Field(max_length=64)
    started_at: Instant
    report: SensorReport | None = None


class MatchMessage(Message):
    """One similar past event within an alert.

    `level` is the similarity score in [0, 8]. `shared` is the probability that both events contain a category, for
    each category where that is likely. `rank` is the rank score by which matches are ordered: the similarity score,
    plus the similarity of finer kinds of sound if the model has them. In a search by source, `rank` is the similarity
    of the sources, alone or added. `match_probability` is the probability that both events are the same kind of
    sound, the highest over the alert's categories. `same_source` is the probability that both come from the same
    source (the same machine, dog, siren, voice), null if the model does not identify sources. Source: the paper,
    section 3.1.
    """

    event: ItemId
    site: NamePattern
    sensor: NamePattern
    captured_at: Instant
    level: float = Field(ge=0.0, le=8.0)
    rank: float | None = Field(default=None, ge=-1_000.0, le=1_000.0)
    shared: dict[CategoryName, Probability] = Field(max_length=len(CATEGORIES))
    match_probability: Probability | None = None
    same_source: Probability | None = None


class ForecastWindow(Message):
    """The time window of the next expected episode.

    `probability` is the probability of an episode in this window, `base_rate` that of a window of the same length
    without recurrence. `backtest_windows` such windows were tested on held-out history; `backtest_hits` of them
    contained an episode.
    """

    start: Instant
    end: Instant
    probability: Probability
    base_rate: Probability
    backtest_windows: Count = 0
    backtest_hits: Count = 0


class Recurrence(Message):
    """The recurrence of a category at a sensor: number of episodes and days, first episode, regularity, forecast."""

    category: CategoryName
    episodes: Count
    days: Count
    since: Instant
    regularity: str = Field(max_length=64)
    other_places: list[ItemId] = Field(default_factory=list, max_length=10_000)
    next: ForecastWindow | None = None


class SourceMessage(Message):
    """The source (one machine, dog, siren or voice) of an alert's episode, and its occurrences at the site.

    `new` is true if this is the first occurrence. `probability` is the probability that the episode comes from the
    most similar source known before. `times` counts occurrences since `since`, including this one.
    """

    id: str = Field(pattern=r"^[0-9a-f]{10}$")
    new: bool
    probability: Probability
    times: Count
    days: Count
    since: Instant
    regularity: str = Field(max_length=64)
    next: ForecastWindow | None = None


class AlertMessage(Message):
    """An alert: an event, its similar past events, and the reasons.

    `categories` are the categories of the alert, the most probable first. `match_probability` is the probability of
    the first one, `threshold` the minimum at this site. `backfilled` is true for a replay of old recordings.
    `delay_s` is the time from the end of the clip to its receipt. `calibration` is the calibration of the sensor and
    `calibration_age_days` its age at `captured_at`; both are null if the sensor reported none. `episode` is the
    episode of the event; `linked` are simultaneous episodes of nearby sensors. `above_ambient_db` is LAeq above the
    level that is exceeded nine tenths of the time. The hub adds `recurrence`, `source` (if the model identifies
    sources), `linked`, `severity` and `shadow_probability` (the match probability of a candidate network) before it
    sends the alert.

    `name` is given if the event is a named sound, with its id `name_id`. `name_probability` is P(same source) of the
    event and the closest example. `watched` is true if the alert was raised because a watched sound returned: such an
    alert need not reach `threshold`, does not count in the budget, and has the severity of the name.
    """

    version: Literal[1] = VERSION
    event: ItemId
    site: NamePattern
    sensor: NamePattern
    captured_at: Instant
    backfilled: bool = False
    delay_s: float = 0.0
    laeq: Decibels
    lafmax: Decibels
    level_unit: LevelUnit
    calibration: NamePattern | None = None
    calibration_age_days: float | None = Field(default=None, ge=0.0, le=100_000.0)
    presence: dict[CategoryName, Probability] = Field(max_length=len(CATEGORIES))
    matches: list[MatchMessage] = Field(min_length=1, max_length=100)
    categories: list[CategoryName] = Field(default_factory=list, max_length=len(CATEGORIES))
    match_probability: Probability | None = None
    threshold: Probability | None = None
    episode: ItemId = ""
    above_ambient_db: float | None = Field(default=None, ge=-400.0, le=400.0)
    severity: Severity = "notice"
    recurrence: Recurrence | None = None
    source: SourceMessage | None = None
    linked: list[ItemId] = Field(default_factory=list, max_length=10_000)
    shadow_probability: Probability | None = None
    name: str | None = Field(default=None, max_length=64)
    name_id: str | None = Field(default=None, max_length=16)
    name_probability: Probability | None = None
    watched: bool = False

    @model_validator(mode="after")
    def _known_categories(self) -> "AlertMessage":
        named = {name for mapping in (self.presence, *(m.shared for m in self.matches)) for name in mapping}
        named |= {*self.categories, *([self.recurrence.category] if self.recurrence else [])}
        if unknown := named - set(CATEGORIES):
            raise ValueError(f"unknown categories {sorted(unknown)}")
        return self


JsonMessage = TypeVar("JsonMessage", bound=Message)


def encode_json(message: Message) -> bytes:
    """Encode a message as UTF-8 JSON."""
    return message.model_dump_json().encode()


def decode_json(kind: type[JsonMessage], payload: bytes, max_bytes: int = STATE_CAP_BYTES) -> JsonMessage:
    """Decode a JSON message.

    Raises:
        InvalidError: too large, not JSON, or not a message of this kind.
    """
    if len(payload) > max_bytes:
        raise InvalidError(f"{kind.__name__} of {len(payload)} bytes is over the cap of {max_bytes}")
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        kind_of = UnsupportedError if _is_newer(error) else InvalidError
        raise kind_of(f"{kind.__name__}: {_reasons(error)}") from error


def _validate(kind: type[EventMessage], fields: object, what: str) -> EventMessage:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        kind_of = UnsupportedError if _is_newer(error) else InvalidError
        raise kind_of(f"{what}: {_reasons(error)}") from error
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:  # from tagged CBOR values
        raise InvalidError(f"{what}: {_truncated(error)}") from error


def _is_newer(error: ValidationError) -> bool:
    """Return whether the message has a later version than this program knows."""
    return any(
        fault["loc"] == ("version",) and isinstance(fault["input"], int) and VERSION < fault["input"] < 2**31
        for fault in error.errors(include_url=False, include_context=False)
    )


def _reasons(error: ValidationError) -> str:
    """Return the first four faults without the values, which may be large or private."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)[:4]
    return "; ".join(_cut(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}") for e in errors)


def _truncated(error: BaseException) -> str:
    return _cut(str(error) or type(error).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
