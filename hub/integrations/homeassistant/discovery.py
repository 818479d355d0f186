"""What Home Assistant is told of each sensor: a device with four entities, and their values, as MQTT messages.

Device-based discovery: one retained document on `<prefix>/device/earwitness_<site>_<sensor>/config` describes the
device and all its entities, and names the topics of their values.

| entity | value | not available |
|---|---|---|
| Level | LAeq of the newest clip | no hub tells, the sensor is not ready, or nothing was received for a while |
| Connection | whether the sensor is ready, from its own state topic | never |
| Last episode | category; the rest as attributes | no hub tells |
| Last alert | when it was heard; the rest as attributes | no hub tells |

Home Assistant knows the units dB and dBA of sound pressure. A level in dBFS, of a sensor that is not calibrated, is
no sound pressure: it has that unit and no device class.

Source: Home Assistant, "MQTT" (device discovery, 2024.12 and later), and its `components/mqtt/schemas.py` of 2025.4.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field

from hub.domain.episodes import Episode
from shared.events import Levels, LevelUnit
from shared.messages import AlertMessage, ForecastWindow, Message, Probability, Severity, SourceMessage
from shared.mqtt.topics import HubTopic, SensorStateKind, SensorStateTopic, SensorTopic
from shared.taxonomy import CATEGORIES

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
COMPLETED_WITHIN: Final = timedelta(seconds=60)
"""An alert is told once it was completed; after so long, as it is."""
AHEAD: Final = timedelta(minutes=10)
"""What lies so far ahead of the present is of a clock that was wrong: it is not told."""
BACKLOG: Final = timedelta(hours=1)
"""A clip that was captured so long ago tells no present level, whenever it was received."""


class LevelMessage(Message):
    """The level of a sensor's newest clip: retained, told anew while clips come."""

    version: Literal[1] = 1
    event: str
    captured_at: AwareDatetime
    laeq: float = Field(ge=-200.0, le=200.0)
    lafmax: float = Field(ge=-200.0, le=200.0)
    unit: LevelUnit


class EpisodeMessage(Message):
    """A sensor's last episode as it is now, retained.

    `probability` is the highest, over its clips, of the probability that a past event is the same kind of sound;
    `clarity` how sure the category is in its clearest clip; `alert` the alert it belongs to, if any.
    """

    version: Literal[1] = 1
    episode: str
    category: str
    opened_at: AwareDatetime
    ended_at: AwareDatetime
    duration_s: float = Field(ge=0.0)
    clips: int = Field(ge=1)
    loudest: float
    match_probability: Probability
    clarity: Probability
    alert: str | None = None


class LastAlertMessage(Message):
    """A sensor's last alert in short, retained; `page` is where people read all of it.

    `times` counts its category at the sensor, `source` tells which machine, dog, siren or voice it is.
    """

    version: Literal[1] = 1
    event: str
    captured_at: AwareDatetime
    categories: list[str]
    name: str | None = None
    severity: Severity
    match_probability: Probability | None = None
    above_ambient_db: float | None = None
    times: int | None = Field(default=None, ge=0)
    source: SourceMessage | None = None
    next: ForecastWindow | None = None
    page: str


@dataclass(frozen=True, slots=True)
class SensorSnapshot:
    """What is known of a sensor.

    Attributes:
        site: its site.
        sensor: its name.
        event: the newest clip's, "" before there is one.
        captured_at: when that was captured.
        received_at: when it was received.
        levels: of that clip.
        episode: the last one.
        alert: the last one.
        software: program and version of its agent; "" if it did not announce itself.
    """

    site: str
    sensor: str
    event: str = ""
    captured_at: datetime | None = None
    received_at: datetime | None = None
    levels: Levels | None = None
    episode: Episode | None = None
    alert: AlertMessage | None = None
    software: str = ""


@dataclass(frozen=True, slots=True)
class DiscoveryBuilder:
    """Makes a sensor's retained messages.

    Attributes:
        prefix: Home Assistant's discovery prefix.
        hub: name of the hub that tells.
        public_url: the hub's pages as people reach them.
        expire_after_s: a level that is not told anew for so long is not available.
    """

    prefix: str
    hub: str
    public_url: str
    expire_after_s: int

    def messages(self, told: SensorSnapshot, now: datetime) -> dict[str, bytes]:
        """Topics and payloads for one sensor, the device's description first.

        A level that was received more than `expire_after_s` ago is left out: telling it would make it look new.

        Args:
            told: what is known of it.
            now: the time, UTC.
        """
        made = {config_topic(self.prefix, told.site, told.sensor): _bytes(self.device(told))}
        if told.levels is not None and told.captured_at is not None and told.received_at is not None:
            level = LevelMessage(
                event=told.event,
                captured_at=told.captured_at,
                laeq=round(told.levels.laeq, 1),
                lafmax=round(told.levels.lafmax, 1),
                unit=told.levels.unit,
            )
            fresh = now - told.received_at < timedelta(seconds=self.expire_after_s)
            if fresh and now - told.captured_at < BACKLOG:
                made[_topic(told, "level")] = _encoded(level)
        if told.episode is not None:
            made[_topic(told, "episode")] = _encoded(_episode_message(told.episode))
        if told.alert is not None and (told.alert.recurrence or now - told.alert.captured_at > COMPLETED_WITHIN):
            made[_topic(told, "last-alert")] = _encoded(self._alert_message(told.alert))
        return made

    def device(self, told: SensorSnapshot) -> dict[str, Any]:
        """The discovery document of a sensor."""
        name = device_name(told.site, told.sensor)
        alive = {"topic": str(HubTopic(self.hub, "online"))}
        entities: dict[str, dict[str, Any]] = {
            "connection": {
                "platform": "binary_sensor",
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": str(SensorTopic(told.site, told.sensor, "state")),
                "value_template": "{{ 'ON' if value_json.state == 'ready' else 'OFF' }}",
            },
            "episode": {
                "platform": "sensor",
                "name": "Last episode",
                "device_class": "enum",
                "options": list(CATEGORIES),
                "value_template": "{{ value_json.category }}",
                "icon": "mdi:waveform",
                **_state_topics(told, "episode", attributes=True),
                "availability": [alive],
            },
            "alert": {
                "platform": "sensor",
                "name": "Last alert",
                "device_class": "timestamp",
                "value_template": "{{ value_json.captured_at }}",
                "icon": "mdi:bell-alert",
                **_state_topics(told, "last-alert", attributes=True),
                "availability": [alive],
            },
        }
        if told.levels is not None:
            ready = {
                "topic": str(SensorTopic(told.site, told.sensor, "state")),
                "value_template": "{{ 'online' if value_json.state == 'ready' else 'offline' }}",
            }
            calibrated = told.levels.unit == "dB"
            entities["level"] = {
                "platform": "sensor",
                "name": "Level",
                **({"device_class": "sound_pressure"} if calibrated else {"icon": "mdi:volume-high"}),
                "unit_of_measurement": "dBA" if calibrated else told.levels.unit,
                "state_class": "measurement",
                "suggested_display_precision": 1,
                "value_template": "{{ value_json.laeq }}",
                "expire_after": self.expire_after_s,
                **_state_topics(told, "level"),
                "availability": [alive, ready],
                "availability_mode": "all",
            }
        return {
            "device": {
                "identifiers": [name],
                "name": f"{told.site} {told.sensor}",
                "manufacturer": "Earwitness",
                "model": "Noise sensor",
                **({"sw_version": told.software} if told.software else {}),
                "configuration_url": f"{self.public_url.rstrip('/')}/sensors",
            },
            "origin": {"name": "Earwitness", "sw_version": version("earwitness")},
            "components": {key: {**entity, "unique_id": f"{name}_{key}"} for key, entity in entities.items()},
        }

    def _alert_message(self, alert: AlertMessage) -> LastAlertMessage:
        recurrence = alert.recurrence
        return LastAlertMessage(
            event=alert.event,
            captured_at=alert.captured_at,
            categories=alert.categories,
            name=alert.name,
            severity=alert.severity,
            match_probability=alert.match_probability,
            above_ambient_db=alert.above_ambient_db,
            times=None if recurrence is None else recurrence.episodes,
            source=alert.source,
            next=None if recurrence is None else recurrence.next,
            page=f"{self.public_url.rstrip('/')}/alerts/{alert.event}",
        )


def device_name(site: str, sensor: str) -> str:
    """The device's id for Home Assistant; `_` is in no site's and no sensor's name, so it is unique."""
    return f"earwitness_{site}_{sensor}"


def config_topic(prefix: str, site: str, sensor: str) -> str:
    """Where a sensor's discovery document is."""
    return f"{prefix}/device/{device_name(site, sensor)}/config"


def _topic(told: SensorSnapshot, kind: SensorStateKind) -> str:
    return str(SensorStateTopic(told.site, told.sensor, kind))


def _state_topics(told: SensorSnapshot, kind: SensorStateKind, *, attributes: bool = False) -> dict[str, str]:
    topic = _topic(told, kind)
    return {"state_topic": topic} | ({"json_attributes_topic": topic} if attributes else {})


def _episode_message(episode: Episode) -> EpisodeMessage:
    return EpisodeMessage(
        episode=episode.id,
        category=episode.category,
        opened_at=datetime.fromtimestamp(episode.opened_ms / 1000, UTC),
        ended_at=datetime.fromtimestamp(episode.last_ms / 1000, UTC),
        duration_s=episode.duration_s,
        clips=episode.clips,
        loudest=round(episode.max_laeq, 1),
        match_probability=round(episode.max_match_probability, 4),
        clarity=round(episode.peak_presence, 4),
        alert=episode.alert or None,
    )


def _encoded(message: Message) -> bytes:
    return message.model_dump_json().encode()


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
