"""Write docs/asyncapi.yaml from the messages and topics: `python docs/make_asyncapi.py`. A test compares the two.

Operations are the hub's: what it receives, a sensor sends. Source: AsyncAPI 3.0.0; MQTT bindings 0.2.0.
"""

import inspect
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.integrations.homeassistant.discovery import EpisodeMessage, LastAlertMessage, LevelMessage
from shared.commands import CommandMessage, ReplyMessage
from shared.events import NAME
from shared.level_series import LevelSeriesMessage
from shared.messages.alert import AlertMessage
from shared.messages.codec import JSON_CONTENT_TYPE
from shared.messages.event import EVENT_CONTENT_TYPE, EventMessage
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import (
    ALL_ALERTS,
    ALL_COMMAND_REPLIES,
    ALL_COMMANDS,
    ALL_EVENTS,
    ALL_LEVELS,
    ALL_STATES,
    HEARTBEAT_REPLY_TOPIC,
    HEARTBEAT_SITE,
    INTAKE_CLOSED,
    INTAKE_OPEN,
    ROOT,
    shared_event_subscription,
    shared_level_subscription,
)
from shared.settings import MqttSettings

FILE = Path(__file__).parent / "asyncapi.yaml"
SCHEMAS = "#/components/schemas/"
OWN = f"{ROOT}/{{site}}/{{sensor}}"
PARAMETERS = {
    "site": "The sensor's site",
    "sensor": "The sensor's name, unique within its site",
    "hub": "The hub's name",
    "prefix": "Home Assistant's discovery prefix",
}


def named(topic_filter: str) -> str:
    """Return a filter as an address with names for its wildcards: first the site, then the sensor."""
    return topic_filter.replace("+", "{site}", 1).replace("+", "{sensor}", 1)


def words(thing: type) -> str:
    """Return a docstring on one line."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(thing) or "").split("\n\n"))


def channel(address: str, message: str, description: str) -> dict[str, Any]:
    """Return a channel with one message; its parameters are those of its address."""
    parameters = {
        name: {"description": f"{text}; matches `{NAME.pattern}`." if name != "prefix" else f"{text}."}
        for name, text in PARAMETERS.items()
        if f"{{{name}}}" in address
    }
    made = {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }
    return made | ({"parameters": parameters} if parameters else {})


def message(model: type[BaseModel], content_type: str = JSON_CONTENT_TYPE) -> dict[str, Any]:
    """Return a message whose payload is a model."""
    return {
        "name": model.__name__,
        "title": model.__name__.removesuffix("Message"),
        "summary": words(model).partition("\n")[0],
        "contentType": content_type,
        "payload": {"$ref": f"{SCHEMAS}{model.__name__}"},
    }


def operation(action: str, name: str, summary: str, *, retain: bool, **more: object) -> dict[str, Any]:
    """Return the hub's operation on a channel."""
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": summary,
        "bindings": {"mqtt": {"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}},
        **more,
    }


def schemas() -> Mapping[str, Any]:
    """Return the JSON schemas of all messages that have a model."""
    modes: dict[type[BaseModel], Literal["validation", "serialization"]] = {
        EventMessage: "validation",  # sensors may leave out what is optional
        LevelSeriesMessage: "validation",
        StateMessage: "validation",
        CommandMessage: "validation",
        ReplyMessage: "validation",
        AlertMessage: "serialization",  # hubs send all of it
        LevelMessage: "serialization",
        EpisodeMessage: "serialization",
        LastAlertMessage: "serialization",
    }
    _, made = models_json_schema(list(modes.items()), ref_template=f"{SCHEMAS}{{model}}")
    return dict(made["$defs"])


def document() -> dict[str, Any]:
    """Return the document."""
    settings = MqttSettings()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Earwitness on MQTT",
            "version": version("earwitness"),
            "description": "Messages between sensors and hubs, and messages for any client. Operations are the"
            " hub's. Made by `python docs/make_asyncapi.py`; do not edit.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON_CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": f"{settings.host}:{settings.port}",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "description": "Any MQTT 5 broker, such as Mosquitto 2; with TLS usually on port 8883.",
            }
        },
        "channels": {
            "events": channel(named(ALL_EVENTS), "event", "Clips of a sensor, or their embeddings."),
            "levelSeries": channel(named(ALL_LEVELS), "levelSeries", "Levels of each second of a sensor."),
            "states": channel(named(ALL_STATES), "state", "A sensor's state; also its last will."),
            "checks": channel(
                f"{OWN}/check", "check", "Test message of `earwitness-edge check`; no client subscribes."
            ),
            "commands": channel(named(ALL_COMMANDS), "command", "Commands of hubs to a sensor."),
            "commandReplies": channel(named(ALL_COMMAND_REPLIES), "commandReply", "Replies of a sensor to commands."),
            "alerts": channel(named(ALL_ALERTS), "alert", "Alerts of a site."),
            "levels": channel(f"{OWN}/level", "level", "A sensor's newest level."),
            "episodes": channel(f"{OWN}/episode", "episode", "A sensor's last episode."),
            "lastAlerts": channel(f"{OWN}/last-alert", "lastAlert", "A sensor's last alert."),
            "online": channel(
                f"{ROOT}/hubs/{{hub}}/online", "online", "Whether a hub publishes; also its last will."
            ),
            "intake": channel(
                f"{ROOT}/hubs/{{hub}}/intake", "intake", "Whether a hub takes events; also its last will."
            ),
            "beats": channel(
                f"{ROOT}/{HEARTBEAT_SITE}/{{hub}}/heartbeat", "event", "Heartbeats, each to its own hub."
            ),
            "beatReplies": channel(HEARTBEAT_REPLY_TOPIC, "alert", "Where heartbeats come back to their hubs."),
            "discovery": channel(
                "{prefix}/device/earwitness_{site}_{sensor}/config", "device", "A sensor, for Home Assistant."
            ),
        },
        "operations": {
            "takeEvents": operation(
                "receive",
                "events",
                f"Hubs divide events among themselves: `{shared_event_subscription('hubs')}`.",
                retain=False,
            ),
            "takeLevelSeries": operation(
                "receive",
                "levelSeries",
                f"Hubs divide them among themselves: `{shared_level_subscription('hubs')}`.",
                retain=False,
            ),
            "noteStates": operation("receive", "states", "Every hub receives every state.", retain=True),
            "sendCommands": operation(
                "send", "commands", "With a message expiry interval; the sensor runs each id once.", retain=False
            ),
            "receiveReplies": operation("receive", "commandReplies", "Every hub receives every reply.", retain=False),
            "raiseAlerts": operation("send", "alerts", "One alert per sound event.", retain=False),
            "publishIntake": operation(
                "send", "intake", "Sensors keep their events while every intake is closed.", retain=True
            ),
            "sendBeats": operation("send", "beats", "A hub watches itself.", retain=False),
            "takeBeats": operation("receive", "beats", "Taken as events are, and kept nowhere.", retain=False),
            "replyToBeats": operation("send", "beatReplies", "On the path of alerts.", retain=False),
            "receiveBeats": operation("receive", "beatReplies", "The time it took is a metric.", retain=False),
            **{
                name: operation("send", where, f"{text}, if `homeassistant.discovery` is on.", retain=True)
                for name, where, text in (
                    ("publishLevels", "levels", "Published while clips arrive"),
                    ("publishEpisodes", "episodes", "Published when it changes"),
                    ("publishLastAlerts", "lastAlerts", "Published once it is complete"),
                    ("publishOnline", "online", "Published by the hub that publishes the others"),
                    (
                        "announceDevices",
                        "discovery",
                        "Published when it changes, and cleared when the sensor is removed",
                    ),
                )
            },
        },
        "components": {
            "messages": {
                "event": message(EventMessage, EVENT_CONTENT_TYPE),
                "levelSeries": message(LevelSeriesMessage),
                "state": message(StateMessage),
                "check": {
                    "name": "Check",
                    "contentType": "text/plain",
                    "payload": {"type": "string", "maxLength": 0},
                },
                "command": message(CommandMessage),
                "commandReply": message(ReplyMessage),
                "alert": message(AlertMessage),
                "level": message(LevelMessage),
                "episode": message(EpisodeMessage),
                "lastAlert": message(LastAlertMessage),
                "online": {
                    "name": "Online",
                    "contentType": "text/plain",
                    "payload": {"type": "string", "enum": ["online", "offline"]},
                },
                "intake": {
                    "name": "Intake",
                    "contentType": "text/plain",
                    "payload": {"type": "string", "enum": [INTAKE_OPEN.decode(), INTAKE_CLOSED.decode()]},
                },
                "device": {
                    "name": "Device",
                    "summary": "Device discovery as Home Assistant documents it.",
                    "externalDocs": {
                        "url": "https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload"
                    },
                    "payload": {"type": "object", "required": ["device", "origin", "components"]},
                },
            },
            "schemas": schemas(),
        },
    }


def page() -> str:
    """Return the document as YAML."""
    return yaml.safe_dump(document(), sort_keys=False, width=118, allow_unicode=True)


if __name__ == "__main__":
    FILE.write_text(page())
