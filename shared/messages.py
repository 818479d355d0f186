"""What travels over MQTT: the CBOR event message, the JSON state and alert messages.

Pydantic models stand at this boundary only; inside, the programs use `shared.events`.
Every decoder caps the size before it parses and raises `Invalid` with a reason fit for a dead letter.

Every number, text and list is bounded, and every time can be converted to UTC. An unknown field is ignored, so that a
hub takes messages of newer sensors, and reads rows that a newer hub stored. A change of what a known field means
raises `VERSION`, which a program that does not know it refuses.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

import cbor2
import numpy as np
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import InvalidError, UnsupportedError
from shared.events import ClockStatus, Embedding, Event, EventId, Flac, Levels, LevelUnit
from shared.feature_space import get_space
from shared.mqtt.topics import SensorTopic
from shared.taxonomy import CATEGORIES

VERSION: Final = 1
EVENT_CONTENT_TYPE: Final = "application/cbor"
JSON_CONTENT_TYPE: Final = "application/json"
EVENT_CAP_BYTES: Final = 8 * 1024 * 1024
"""Largest event message: 60 s of 48 kHz 16-bit mono that FLAC could not compress is 5.8 MB."""
STATE_CAP_BYTES: Final = 16 * 1024
STATE_EXPIRY_S: Final = 315_360_000
"""Message expiry of a sensor's state, ten years. A broker that forwards a message takes off the time that the message
waited there, so a hub knows when the state was sent, and measures the sensor's clock. Source: MQTT 5.0, 3.3.2.3.3."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
LAST: Final = LATEST - timedelta(seconds=1)
"""Times of messages are in [EARLIEST, LATEST): every time zone's clock can show them. Source: `datetime.MAXYEAR`."""


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
    """`in_utc`, but the year 9999, which stands for "no end", becomes `LAST`. Source: RFC 5280, 4.1.2.5."""
    return LAST if at.year == LATEST.year and at.utcoffset() == timedelta() else in_utc(at)


Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""A time of a message, always in UTC."""
EndTime = Annotated[AwareDatetime, AfterValidator(_end_in_utc)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""Source: RFC 8259, 6 (integers that every program can read)."""
Decibels = Annotated[float, Field(ge=-200.0, le=200.0)]
ItemId = Annotated[str, Field(max_length=256)]
"""Id of an event, an episode or an alert, or a place."""
CategoryName = Annotated[str, Field(max_length=64)]
NamePattern = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Severity = Literal["notice", "recurring", "urgent"]
"""`recurring`: it belongs to a rhythm; `urgent`: that, and far above ambient. Source: docs/flagging.md."""


class Message(BaseModel):
    """Base of every message: bounded values, unknown fields ignored, immutable, no NaN or infinity."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class EventMessage(Message):
    """One event as sent: self-contained, so that it can be spooled, replayed, dead-lettered, archived whole.

    Exactly one of `flac` and `embedding` is there; `space` names the embedding's feature space.
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
    flac: bytes | None = Field(default=None, min_length=4, strict=True)
    space: str | None = Field(default=None, max_length=64)
    embedding: bytes | None = Field(default=None, max_length=65_536, strict=True)

    @model_validator(mode="after")
    def _one_body(self) -> "EventMessage":
        if (self.flac is None) == (self.embedding is None):
            raise ValueError("exactly one of flac and embedding must be there")
        if (self.embedding is None) != (self.space is None):
            raise ValueError("an embedding needs its feature space, and audio must not name one")
        return self


def encode_event(event: Event) -> bytes:
    """Turn an event into its CBOR message (RFC 8949)."""
    body: dict[str, Any]
    match event.body:
        case Flac(data):
            body = {"flac": data}
        case Embedding(space, features):
            body = {"space": space, "embedding": features.tobytes()}
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
            **body,
        }
    )


def decode_event(payload: bytes, topic: SensorTopic | None = None) -> Event:
    """Read an event message; if a topic is given, it must be the sensor's own.

    Raises:
        Invalid: too large, not CBOR, a field missing or out of range, wrong shape, or a message sent on another
            sensor's topic.
        Unsupported: an unknown feature space, or a later version of the message.
    """
    if len(payload) > EVENT_CAP_BYTES:
        raise InvalidError(f"event message of {len(payload)} bytes is over the cap of {EVENT_CAP_BYTES}")
    try:
        fields = cbor2.loads(payload, max_depth=4)
    except Exception as error:  # of whatever kind: values of tags are made by other modules
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
        levels=Levels(laeq=message.laeq, lafmax=message.lafmax, unit=message.level_unit),
        body=_body(message),
    )


def _body(message: EventMessage) -> Flac | Embedding:
    if message.flac is not None:
        return Flac(message.flac)
    space = get_space(message.space or "")
    raw = np.frombuffer(message.embedding or b"", dtype=np.uint8)
    if raw.size != space.frames * space.dimension:
        raise InvalidError(f"{space.id} wants {space.frames} x {space.dimension} bytes, got {raw.size}")
    return Embedding(space=space.id, features=raw.reshape(space.shape))


class SensorReport(Message):
    """How a sensor keeps up, at a time: what hubs cannot know by what comes.

    `waiting` are events in the spool that the broker does not have yet; `spool` is how full that is, in [0, 1];
    `dropped` are clips given up since the start, as the spool took no more. `certificate_end` is when the sensor's
    certificate ends, if it has one.

    `first_seq` and `highest_seq` are the first and the latest sequence number given in this boot, null before the
    first clip; `previous_boot` and `previous_seq` are the boot before and the latest number that it kept on its disk.
    `set_aside` are events kept in the spool that the broker cannot take; `spool_lost` are events that a damaged spool
    lost since the start. `taken_over` counts since the start how often another client with this sensor's client id
    ended its connection. `source_failure` says why the source delivers nothing, while it does not.
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


class StateMessage(Message):
    """A sensor's retained state; the last will is the same message with state `lost` and without a report.

    The boot id tells a late will of an old session from the present one. Source: Sparkplug 3.0, 5 and 6.
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

    `level` is the level of similarity in [0, 8]; `shared` the probability that both events contain it, for
    each category where that is likely. `rank` is what matches are ordered by: the level, and of models that know
    finer kinds of sound how alike these are; in a search by source or by both, how alike the sources are, alone or
    besides. `probability` is the highest, over the categories an alert is about, of the probability that both events
    are the same kind of sound. `same_source` is the probability that both come from the same source (the same
    machine, dog, siren, voice); null where the model knows no sources. Source: the paper, section 3.1.
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
    """When a happening is likely next, how likely, and how likely a window of that length is without any pattern.

    Of `tried` such windows on held-out history, `hits` came true.
    """

    start: Instant
    end: Instant
    probability: Probability
    base_rate: Probability
    backtest_windows: Count = 0
    backtest_hits: Count = 0


class Recurrence(Message):
    """How often, on how many days, since when and with what regularity a category was heard at a place."""

    category: CategoryName
    episodes: Count
    days: Count
    since: Instant
    regularity: str = Field(max_length=64)
    other_places: list[ItemId] = Field(default_factory=list, max_length=10_000)
    next: ForecastWindow | None = None


class SourceMessage(Message):
    """Which machine, dog, siren or voice an alert's episode is of, and how often it was heard at the site.

    `new` is true if it was not heard before; `probability` is that of the episode and the nearest source known before
    it being the same. `times` counts occurrences, this one among them, since `since`.
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
    """The answer to "find similar past events": an event, what it resembles, and why.

    `categories` are those the alert is about, the surest first; `probability` that of the surest, `threshold` what it
    had to reach at this site. `backfilled` is true for a replay of old recordings; `delay_s` is the time from the end
    of the clip to its receipt. `episode` is the happening it belongs to, `linked` are simultaneous ones of nearby
    sensors. `above_ambient_db` is LAeq over the level that the sensor hears nine tenths of the time. `recurrence`,
    `source` (if the model knows sources), `linked`, `severity` and `shadow` (what a candidate network would have
    stated) are there once the hub has looked them up, before the alert is told to anyone.

    `name` is there if the event is a named sound, with its id `name_id`; `name_probability` is P(same source) of the
    event and the closest example. `watched` is true if the alert was raised because a watched sound returned: such an
    alert need not reach `threshold`, counts in no budget, and has the severity of the name.
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
        named = {name for one in (self.presence, *(m.shared for m in self.matches)) for name in one}
        named |= {*self.categories, *([self.recurrence.category] if self.recurrence else [])}
        if unknown := named - set(CATEGORIES):
            raise ValueError(f"unknown categories {sorted(unknown)}")
        return self


JsonMessage = TypeVar("JsonMessage", StateMessage, AlertMessage)


def encode_json(message: StateMessage | AlertMessage) -> bytes:
    """Turn a state or alert message into UTF-8 JSON."""
    return message.model_dump_json().encode()


def decode_json(kind: type[JsonMessage], payload: bytes, max_bytes: int = STATE_CAP_BYTES) -> JsonMessage:
    """Read a JSON message.

    Raises:
        Invalid: too large, not JSON, or not such a message.
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
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:  # of values that CBOR tags make
        raise InvalidError(f"{what}: {_truncated(error)}") from error


def _is_newer(error: ValidationError) -> bool:
    """Whether the message is of a later version of the contract."""
    return any(
        one["loc"] == ("version",) and isinstance(one["input"], int) and VERSION < one["input"] < 2**31
        for one in error.errors(include_url=False, include_context=False)
    )


def _reasons(error: ValidationError) -> str:
    """The first few faults, without the offending values: those may be large or private."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)[:4]
    return "; ".join(_cut(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}") for e in errors)


def _truncated(error: BaseException) -> str:
    return _cut(str(error) or type(error).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
