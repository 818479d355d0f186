"""Decide what a command of a hub does. This module does no I/O.

A hub may not change what identifies the sensor, what it trusts, secrets, paths of files on the sensor, or whether it
accepts commands. A hub may not make a sensor send sound that sends none.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

from pydantic import BaseModel, SecretStr

from edge.settings import EdgeSettings
from shared.commands import CommandMessage, ReplyStatus
from shared.errors import InvalidError
from shared.events import ClockStatus

LOCKED: Final[Mapping[str, str]] = {
    "sensor.site": "it identifies the sensor at the broker",
    "sensor.name": "it identifies the sensor at the broker",
    "mqtt.username": "it belongs to a secret",
    "mqtt.tls": "it decides which broker the sensor trusts",
    "commands.enabled": "a hub could not change it back",
    "privacy.no_speech": "it protects people at the sensor",
    "privacy.sealed_to": "it protects people at the sensor",
}
"""Settings that a hub may not change, and the reason."""
CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""A synchronised clock may differ from the hub's by this much."""
SHOWN_CHARACTERS: Final = 200
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]*@")

Effect = Literal["none", "change", "restart", "self-test", "clip"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Effect of a command.

    Attributes:
        status: status of the immediate reply.
        effect: what the sensor does then.
        reason: reason of a refusal.
        overrides: for a change of settings, all settings that hubs changed, with this change.
    """

    status: ReplyStatus
    effect: Effect = "none"
    reason: str = ""
    overrides: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SettingsView:
    """The settings that a decision reads.

    Attributes:
        effective: settings of this run.
        overrides: settings that hubs changed before, by `group.field`.
        load: function that returns the settings with other overrides; it raises `InvalidError`.
        on_trial: whether an earlier change is not confirmed yet.
    """

    effective: EdgeSettings
    overrides: Mapping[str, str]
    load: Callable[[Mapping[str, str]], EdgeSettings]
    on_trial: bool


def decide(command: CommandMessage, view: SettingsView) -> Decision:
    """Decide what a command does that has not expired and has not run before.

    Args:
        command: the command.
        view: the sensor's settings.
    """
    match command.action:
        case "settings" | "version":
            return Decision("done")
        case "restart":
            return Decision("accepted", "restart")
        case "self-test":
            return Decision("done", "self-test")
        case "clip" if view.effective.sends_sound:
            return Decision("accepted", "clip")
        case "clip":
            return Decision("refused", reason="this sensor sends no sound")
        case "change-settings":
            return _decide_change(command, view)


def _decide_change(command: CommandMessage, view: SettingsView) -> Decision:
    if view.on_trial:
        return Decision(
            "refused", reason="an earlier change is not confirmed yet: repeat this command in two minutes"
        )
    if not command.settings:
        return Decision("refused", reason="the command names no setting")
    for name in command.settings:
        if (reason := locked(name)) is not None:
            return Decision("refused", reason=f"{name}: {reason}")
    overrides = {name: text for name, text in view.overrides.items() if name not in command.settings}
    overrides |= {name: text for name, text in command.settings.items() if text is not None}
    try:
        wanted = view.load(overrides)
    except InvalidError as error:
        return Decision("refused", reason=str(error)[:SHOWN_CHARACTERS])
    if (more := _sends_more(wanted, view.effective)) is not None:
        return Decision("refused", reason=f"{more}; change that on the sensor itself")
    return Decision("accepted", "change", overrides=overrides)


def _sends_more(wanted: EdgeSettings, effective: EdgeSettings) -> str | None:
    """Return what the sensor sends now, if the wanted settings would send more of the sound; else None."""
    if wanted.sends_clips and not effective.sends_clips:
        return "this sensor sends levels only"
    if wanted.sends_sound and not effective.sends_sound:
        return "this sensor sends no sound"
    return None


def has_expired(
    command: CommandMessage, now: datetime, clock: ClockStatus, broker_expiry_s: int | None
) -> str | None:
    """Return why a command is too old to run, or None.

    The time in the message is compared with a synchronised clock only. Without one, the broker's message expiry
    decides; a command without it is refused, because a stored copy could run at any time.

    Args:
        command: the command.
        now: time by this sensor's clock.
        clock: status of that clock.
        broker_expiry_s: rest of the message expiry interval in seconds; None if the message has none.
    """
    if clock == "synchronised" and now > command.expires_at + CLOCK_TOLERANCE:
        return f"the command expired at {command.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if clock != "synchronised" and broker_expiry_s is None:
        return "the command has no message expiry interval, and this sensor's clock is not synchronised"
    return None


def locked(name: str) -> str | None:
    """Return why a hub may not change a setting, or None.

    Args:
        name: `group.field`.
    """
    if name in LOCKED:
        return f"a hub may not change it, because {LOCKED[name]}"
    for known, _, annotation in _fields():
        if known == name:
            kinds = set(_flattened(annotation))
            if SecretStr in kinds:
                return "a hub may not change it, because it is a secret"
            if Path in kinds:
                return "a hub may not change it, because it is a path on the sensor"
            return None
    return "there is no such setting"


def public_settings(settings: EdgeSettings) -> dict[str, str]:
    """Return every setting but secrets as text by `group.field`; user names and passwords in URLs are removed."""
    return {
        name: _text(getattr(getattr(settings, group), name.partition(".")[2]))
        for name, group, annotation in _fields()
        if SecretStr not in set(_flattened(annotation))
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _USER_INFO.sub("***@", text)[:SHOWN_CHARACTERS]


def _fields() -> Iterator[tuple[str, str, object]]:
    """Yield name, group and annotation of every setting."""
    for group, field in EdgeSettings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, info in model.model_fields.items():
                yield f"{group}.{name}", group, info.annotation


def _flattened(annotation: object) -> Iterator[object]:
    yield annotation
    for inner in get_args(annotation):
        yield from _flattened(inner)
