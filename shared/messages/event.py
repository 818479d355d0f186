"""The event message of a sensor, in CBOR."""

from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any, Final, Literal

import cbor2
import numpy as np
from pydantic import Field, model_validator

from shared.errors import InvalidError
from shared.events import Calibration, ClockStatus, Embedding, Event, EventId, Flac, Levels, LevelUnit
from shared.feature_space import get_space
from shared.levels.values import MOST_BANDS, LevelDetails
from shared.messages.codec import VERSION, Message, truncated, validate
from shared.messages.fields import Decibels, DetailDecibels, Instant, NamePattern
from shared.mqtt.topics import SensorTopic
from shared.sealed_sound import MOST_KEYS, PUBLIC_KEY_PATTERN, SealedSound

PublicKey = Annotated[str, Field(pattern=PUBLIC_KEY_PATTERN)]
EVENT_CONTENT_TYPE: Final = "application/cbor"
EVENT_CAP_BYTES: Final = 8 * 1024 * 1024
"""Largest event message: 60 s of 48 kHz 16-bit mono that FLAC could not compress is 5.8 MB."""


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
    together, and never next to `sound`. `calibration` is the id of
    the sensor's calibration and `calibrated_at` its time; both are missing if there is none. `backlog` is true if the
    event waited in the sensor's spool because the broker or the hubs did not take it.
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
    backlog: bool = False

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
    if event.backlog:
        body["backlog"] = True
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
        raise InvalidError(f"event message is not CBOR: {truncated(error)}") from error
    message = validate(EventMessage, fields, "event message")
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
        backlog=message.backlog,
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
