"""MQTT topics as validated values. Only this module spells topics.

Sensors publish on `earwitness/v1/<site>/<sensor>/{state,event,levels,command-reply}`. Hubs publish on
`earwitness/v1/<site>/alert`, `earwitness/v1/<site>/<sensor>/command` and `earwitness/v1/hubs/<hub>/intake`. With the
Home Assistant integration hubs also publish on `earwitness/v1/<site>/<sensor>/{level,episode,last-alert}` and
`earwitness/v1/hubs/<hub>/online`.
Source: architecture, wire contract; MQTT 5.0, 4.7 (topic names and filters), 4.8.2 (shared subscriptions).
"""

from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import InvalidError
from shared.events import check_name

ROOT: Final = "earwitness/v1"

HEARTBEAT_SITE: Final = "heartbeat"
"""The site of heartbeats; sensors may not use it."""

SensorKind = Literal["state", "event", "levels", "heartbeat"]
CommandKind = Literal["command", "command-reply"]
SensorStateKind = Literal["level", "episode", "last-alert"]
HubKind = Literal["intake", "online"]


@dataclass(frozen=True, slots=True)
class SensorTopic:
    """A topic of one sensor, or with kind `heartbeat`, of a hub that sends heartbeats.

    Raises:
        InvalidError: a site or sensor that is not a valid id, or a sensor at the site of heartbeats.
    """

    site: str
    sensor: str
    kind: SensorKind

    def __post_init__(self) -> None:
        check_name(self.site, "site")
        check_name(self.sensor, "sensor")
        if (self.site == HEARTBEAT_SITE) != (self.kind == "heartbeat"):
            raise InvalidError(f"site {HEARTBEAT_SITE!r} is for heartbeats only, and heartbeats use no other site")

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.sensor}/{self.kind}"

    @classmethod
    def parse(cls, topic: str) -> "SensorTopic":
        """Read a received topic.

        Raises:
            InvalidError: not a sensor's topic.
        """
        parts = topic.removeprefix(ROOT + "/").split("/")
        if not topic.startswith(ROOT + "/") or len(parts) != 3:
            raise InvalidError(f"{topic!r} is not {ROOT}/<site>/<sensor>/<kind>")
        site, sensor, kind = parts
        if kind == "event":
            return cls(site=site, sensor=sensor, kind="event")
        if kind == "levels":
            return cls(site=site, sensor=sensor, kind="levels")
        if kind == "state":
            return cls(site=site, sensor=sensor, kind="state")
        if kind == "heartbeat":
            return cls(site=site, sensor=sensor, kind="heartbeat")
        raise InvalidError(f"{topic!r} ends in an unknown kind {kind!r}")


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """The topic of the commands to a sensor, which only hubs publish, or of the sensor's replies.

    Raises:
        InvalidError: a site or sensor that is not a valid id, or the site of heartbeats.
    """

    site: str
    sensor: str
    kind: CommandKind

    def __post_init__(self) -> None:
        check_name(self.site, "site")
        check_name(self.sensor, "sensor")
        if self.site == HEARTBEAT_SITE:
            raise InvalidError(f"site {HEARTBEAT_SITE!r} has no sensors")

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.sensor}/{self.kind}"


@dataclass(frozen=True, slots=True)
class AlertTopic:
    """The topic of a site's alerts; for the site of heartbeats, a topic that only hubs subscribe to.

    Raises:
        InvalidError: a site that is not a valid id.
    """

    site: str

    def __post_init__(self) -> None:
        check_name(self.site, "site")

    def __str__(self) -> str:
        return HEARTBEAT_REPLY_TOPIC if self.site == HEARTBEAT_SITE else f"{ROOT}/{self.site}/alert"


@dataclass(frozen=True, slots=True)
class SensorStateTopic:
    """The retained topic on which a hub publishes a sensor's latest level, episode or alert.

    Raises:
        InvalidError: a site or sensor that is not a valid id.
    """

    site: str
    sensor: str
    kind: SensorStateKind

    def __post_init__(self) -> None:
        check_name(self.site, "site")
        check_name(self.sensor, "sensor")

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.sensor}/{self.kind}"


@dataclass(frozen=True, slots=True)
class HubTopic:
    """The retained topic of a hub's status, and of its last will.

    `intake` is `open` while the hub accepts events, else `closed`. `online` is `online` while the hub publishes to
    Home Assistant, else `offline`.

    Raises:
        InvalidError: a hub's name that is not a valid id.
    """

    hub: str
    kind: HubKind

    def __post_init__(self) -> None:
        check_name(self.hub, "hub")

    def __str__(self) -> str:
        return f"{ROOT}/hubs/{self.hub}/{self.kind}"


INTAKE_OPEN: Final = b"open"
INTAKE_CLOSED: Final = b"closed"
"""Payloads of a hub's `intake` topic."""
ALL_INTAKES: Final = f"{ROOT}/hubs/+/intake"
HEARTBEAT_REPLY_TOPIC: Final = f"{ROOT}/{HEARTBEAT_SITE}/hubs/reply"
"""The topic on which heartbeats return to their hubs."""
ALL_STATES: Final = f"{ROOT}/+/+/state"
ALL_EVENTS: Final = f"{ROOT}/+/+/event"
ALL_LEVELS: Final = f"{ROOT}/+/+/levels"
ALL_COMMANDS: Final = f"{ROOT}/+/+/command"
ALL_COMMAND_REPLIES: Final = f"{ROOT}/+/+/command-reply"
ALL_ALERTS: Final = f"{ROOT}/+/alert"


def shared_event_subscription(group: str) -> str:
    """Return the shared subscription that distributes all events among the hubs of one group.

    Raises:
        InvalidError: a group that is not a valid id.
    """
    return shared(group, ALL_EVENTS)


def shared_level_subscription(group: str) -> str:
    """Return the shared subscription that distributes the level series among the hubs of one group.

    Its group differs from that of events, for the reason that `shared_beats` gives.

    Raises:
        InvalidError: a group that is not a valid id.
    """
    return shared(f"{group}-levels", ALL_LEVELS)


def shared_beats(group: str, hub: str) -> str:
    """Return the shared subscription of a hub's own heartbeats. It tests the broker's shared subscriptions.

    Its group differs from that of events: rumqttd keeps one position in the queue per group, not per filter, so
    events would wait behind a heartbeat.

    Raises:
        InvalidError: a group or a hub that is not a valid id.
    """
    return shared(f"{group}-beats", str(SensorTopic(HEARTBEAT_SITE, hub, "heartbeat")))


def shared(group: str, topic_filter: str) -> str:
    """Return a filter as a shared subscription. Source: MQTT 5.0, 4.8.2.

    Raises:
        InvalidError: a group that is not a valid id.
    """
    return f"$share/{check_name(group, 'subscription group')}/{topic_filter}"
