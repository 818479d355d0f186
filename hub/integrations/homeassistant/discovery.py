"""Build the MQTT messages for Home Assistant: for each sensor a device with four entities, and their values.

Device-based discovery: one retained document on `<prefix>/device/earwitness_<site>_<sensor>/config` describes the
device and all its entities, and names the topics of their values.

| entity | value | not available |
|---|---|---|
| Level | LAeq of the newest clip | no hub publishes, the sensor is not ready, or the level has expired |
| Connection | whether the sensor is ready, from its own state topic | never |
| Last episode | category; the rest as attributes | no hub publishes |
| Last alert | time of its event; the rest as attributes | no hub publishes |

Home Assistant has the units dB and dBA for sound pressure. A level of an uncalibrated sensor, in dBFS, is not a sound
pressure, so it has that unit and no device class.

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
from shared.messages.alert import AlertMessage, ForecastWindow, Severity, SourceMessage
from shared.messages.codec import Message
from shared.messages.fields import Probability
from shared.mqtt.topics import HubTopic, SensorStateKind, SensorStateTopic, SensorTopic
from shared.taxonomy import CATEGORIES

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
COMPLETED_WITHIN: Final = timedelta(seconds=60)
"""The hub publishes an alert once it is completed; after this time, also an incomplete one."""
AHEAD: Final = timedelta(minutes=10)
"""An event this far in the future has a wrong time, so the hub does not publish it."""
BACKLOG: Final = timedelta(hours=1)
"""A clip captured this long ago has no current level, so the hub does not publish its level."""


class LevelMessage(Message):
    """The level of a sensor's newest clip, retained; the hub publishes it again while clips arrive."""

    version: Literal[1] = 1
    event: str
    captured_at: AwareDatetime
    laeq: float = Field(ge=-200.0, le=200.0)
    lafmax: float = Field(ge=-200.0, le=200.0)
    unit: LevelUnit


class EpisodeMessage(Message):
    """A sensor's last episode in its current state, retained.

    `match_probability` is the highest match probability of its clips. `clarity` is the highest category probability
    of its clips. `alert` is the alert that it belongs to, if any.
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
    """A summary of a sensor's last alert, retained; `page` is the URL of the full alert.

    `times` counts episodes of its category at the sensor. `source` identifies the machine, dog, siren or voice.
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
    """The current data of a sensor.

    Attributes:
        site: its site.
        sensor: its name.
        event: id of the newest event, "" before the first one.
        captured_at: capture time of that event.
        received_at: time of its receipt.
        levels: levels of that event.
        episode: the last episode.
        alert: the last alert.
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
    """Builds a sensor's retained messages.

    Attributes:
        prefix: Home Assistant's discovery prefix.
        hub: name of the hub that publishes.
        public_url: URL of the hub's pages for browsers.
        expire_after_s: time without an update after which a level is not available, in seconds.
    """

    prefix: str
    hub: str
    public_url: str
    expire_after_s: int

    def messages(self, sensor: SensorSnapshot, now: datetime) -> dict[str, bytes]:
        """Return topics and payloads for one sensor, the device's description first.

        A level received more than `expire_after_s` ago is not included, as Home Assistant would show it as current.

        Args:
            sensor: data of the sensor.
            now: current time, UTC.
        """
        payloads = {config_topic(self.prefix, sensor.site, sensor.sensor): _bytes(self.device(sensor))}
        if sensor.levels is not None and sensor.captured_at is not None and sensor.received_at is not None:
            level = LevelMessage(
                event=sensor.event,
                captured_at=sensor.captured_at,
                laeq=round(sensor.levels.laeq, 1),
                lafmax=round(sensor.levels.lafmax, 1),
                unit=sensor.levels.unit,
            )
            fresh = now - sensor.received_at < timedelta(seconds=self.expire_after_s)
            if fresh and now - sensor.captured_at < BACKLOG:
                payloads[_topic(sensor, "level")] = _encoded(level)
        if sensor.episode is not None:
            payloads[_topic(sensor, "episode")] = _encoded(_episode_message(sensor.episode))
        alert = sensor.alert
        if alert is not None and (alert.recurrence or now - alert.captured_at > COMPLETED_WITHIN):
            payloads[_topic(sensor, "last-alert")] = _encoded(self._alert_message(alert))
        return payloads

    def device(self, sensor: SensorSnapshot) -> dict[str, Any]:
        """Return the discovery document of a sensor."""
        name = device_name(sensor.site, sensor.sensor)
        alive = {"topic": str(HubTopic(self.hub, "online"))}
        entities: dict[str, dict[str, Any]] = {
            "connection": {
                "platform": "binary_sensor",
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": str(SensorTopic(sensor.site, sensor.sensor, "state")),
                "value_template": "{{ 'ON' if value_json.state == 'ready' else 'OFF' }}",
            },
            "episode": {
                "platform": "sensor",
                "name": "Last episode",
                "device_class": "enum",
                "options": list(CATEGORIES),
                "value_template": "{{ value_json.category }}",
                "icon": "mdi:waveform",
                **_state_topics(sensor, "episode", attributes=True),
                "availability": [alive],
            },
            "alert": {
                "platform": "sensor",
                "name": "Last alert",
                "device_class": "timestamp",
                "value_template": "{{ value_json.captured_at }}",
                "icon": "mdi:bell-alert",
                **_state_topics(sensor, "last-alert", attributes=True),
                "availability": [alive],
            },
        }
        if sensor.levels is not None:
            ready = {
                "topic": str(SensorTopic(sensor.site, sensor.sensor, "state")),
                "value_template": "{{ 'online' if value_json.state == 'ready' else 'offline' }}",
            }
            calibrated = sensor.levels.unit == "dB"
            entities["level"] = {
                "platform": "sensor",
                "name": "Level",
                **({"device_class": "sound_pressure"} if calibrated else {"icon": "mdi:volume-high"}),
                "unit_of_measurement": "dBA" if calibrated else sensor.levels.unit,
                "state_class": "measurement",
                "suggested_display_precision": 1,
                "value_template": "{{ value_json.laeq }}",
                "expire_after": self.expire_after_s,
                **_state_topics(sensor, "level"),
                "availability": [alive, ready],
                "availability_mode": "all",
            }
        return {
            "device": {
                "identifiers": [name],
                "name": f"{sensor.site} {sensor.sensor}",
                "manufacturer": "Earwitness",
                "model": "Noise sensor",
                **({"sw_version": sensor.software} if sensor.software else {}),
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
    """Return the unique device id for Home Assistant; names of sites and sensors never contain `_`."""
    return f"earwitness_{site}_{sensor}"


def config_topic(prefix: str, site: str, sensor: str) -> str:
    """Return the topic of a sensor's discovery document."""
    return f"{prefix}/device/{device_name(site, sensor)}/config"


def _topic(sensor: SensorSnapshot, kind: SensorStateKind) -> str:
    return str(SensorStateTopic(sensor.site, sensor.sensor, kind))


def _state_topics(sensor: SensorSnapshot, kind: SensorStateKind, *, attributes: bool = False) -> dict[str, str]:
    topic = _topic(sensor, kind)
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
