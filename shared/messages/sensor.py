"""The state message of a sensor, with the report on its spool, source, connection and machine."""

from typing import Final, Literal

from pydantic import Field

from shared.events import ClockStatus
from shared.messages.codec import VERSION, Message
from shared.messages.fields import Content, Count, EndTime, Instant, NamePattern, Share

STATE_EXPIRY_S: Final = 315_360_000
"""Message expiry of a sensor's state in seconds: ten years. A broker that forwards a message subtracts the time for
which it kept the message. So a hub knows when the state was sent, and measures the offset of the sensor's clock.
Source: MQTT 5.0, 3.3.2.3.3."""


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


class ShedRange(Message):
    """Events of one boot that a sensor's spool shed, by sequence number.

    `content` is what was shed: `sound` (the embedding is kept, unless the event had none), `features` or `levels`.
    `reason` is `full` (the spool had no room) or `age`. `events` is their number in the range.
    """

    boot: NamePattern
    content: Content
    reason: Literal["full", "age"]
    first_seq: Count
    last_seq: Count
    events: Count


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
    speech, in seconds. All three count since the start. `shed` lists what the spool shed, the latest last.
    `capture_gap_s` is the time since the start for which a live source delivered no sound, in seconds; null from
    sensors of earlier versions.
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
    shed: tuple[ShedRange, ...] = Field(default=(), max_length=64)
    capture_gap_s: float | None = Field(default=None, ge=0.0, le=1e10)


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
