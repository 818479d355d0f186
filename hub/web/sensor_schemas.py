"""Represent sensors in the API."""

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from hub.domain.records import Sensor, StoredEvent
from hub.domain.sensor_edits import Description, Title
from shared.events import LevelUnit
from shared.messages.sensor import SensorHealth, ShedRange


class ReportView(BaseModel):
    """A sensor's last report: how full its spool was, what it dropped, and its faults."""

    at: datetime
    waiting: int
    spool: float
    dropped: int
    certificate_end: datetime | None
    set_aside: int = Field(description="events in its spool that the broker rejects")
    spool_lost: int = Field(description="events that a damaged spool lost since the sensor started")
    taken_over: int = Field(description="times since then that another client with its name ended its connection")
    source_failure: str = Field(description="why its source delivers nothing; empty while it delivers")
    health: SensorHealth | None = Field(description="health of its machine; null if the sensor does not report it")
    shed: tuple[ShedRange, ...] = Field(
        description="what its spool shed, by ranges of sequence numbers, the latest last"
    )
    capture_gap_s: float | None = Field(
        description="time since it started for which its source delivered no sound, in seconds; null if not reported"
    )


class SensorView(BaseModel):
    """A sensor, its last event, the state it announced and its last report."""

    site: str
    sensor: str
    state: str
    events: int
    last_event: str
    last_captured_at: datetime | None
    last_received_at: datetime | None
    clock_skew_s: float | None = Field(
        description="how far its clock is ahead of the hub's, in seconds; below 0 if it is behind; null if not known"
    )
    level_unit: LevelUnit | None = Field(
        description="unit of the levels of its last event: dBFS if it was never calibrated; null without an event"
    )
    calibration: str | None = Field(description="id of the calibration of its last event; null if it has none")
    calibrated_at: datetime | None = Field(description="time of that calibration, by the sensor's clock")
    report: ReportView | None
    title: str = Field(description="as operators set it; empty without one")
    description: str = Field(description="as operators set it; empty without one")
    muted: bool = Field(description="whether it raises no alert")
    retired: bool = Field(description="whether it is not expected to send any more")


class SensorChanges(BaseModel):
    """Changes of what operators set about a sensor; null leaves a field as it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"title": "Market square", "muted": False}}
    )

    title: Title | None = None
    description: Description | None = None
    muted: bool | None = None
    retired: bool | None = None


class SensorList(BaseModel):
    """All sensors that ever sent a message."""

    sensors: list[SensorView]


def sensor_view(sensor: Sensor, last: StoredEvent | None) -> SensorView:
    """Return the API representation of a sensor, with the unit and calibration of its last event."""
    calibration = None if last is None else last.calibration
    site, _, name = sensor.place.partition("/")
    return SensorView(
        site=site,
        sensor=name,
        state=sensor.state,
        events=sensor.events,
        last_event=sensor.last_event,
        last_captured_at=sensor.last_captured_at,
        last_received_at=sensor.last_received_at,
        clock_skew_s=sensor.clock_skew_s,
        level_unit=None if last is None else last.levels.unit,
        calibration=None if calibration is None else calibration.id,
        **sensor.edits.model_dump(),
        calibrated_at=None if calibration is None else calibration.at,
        report=ReportView(**asdict(sensor.report)) if sensor.report is not None else None,
    )
