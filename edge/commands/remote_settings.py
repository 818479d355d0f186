"""The settings that hubs changed, in a file beside the spool, and the trial of the latest change.

1. A change is written with the settings before it, as a trial. The agent then restarts.
2. The start marks the trial as started. The agent confirms it once a hub has received its reply.
3. A trial that is not confirmed in time is undone. A start that finds a started trial undoes it at once: the process
   or the machine stopped during the trial.

The file is replaced atomically. With `commands.enabled = false` it has no effect.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from edge.settings import EdgeSettings
from shared.commands import CommandId, ReplyMessage, SettingName, SettingText
from shared.errors import InvalidError, UnavailableError
from shared.messages.codec import VERSION, Message, decode_json, encode_json
from shared.settings import load_settings

log = logging.getLogger(__name__)

STATE_CAP_BYTES: Final = 4 * 1024**2
REMEMBERED: Final = 32
"""A repeated command is recognised among this many latest commands."""

Overrides = Mapping[str, str]


class Trial(Message):
    """A change of settings that is not confirmed yet: id of its command, and the overrides before it."""

    id: CommandId
    previous: dict[SettingName, SettingText]
    started: bool = False


class RemoteState(Message):
    """The content of the file.

    `overrides` are the settings that hubs changed. `replies` are the latest replies to the latest commands, oldest
    first. `unsent` are the ids of those that the broker has not acknowledged.
    """

    version: Literal[1] = VERSION
    overrides: dict[SettingName, SettingText] = Field(default_factory=dict, max_length=512)
    trial: Trial | None = None
    replies: list[ReplyMessage] = Field(default_factory=list, max_length=REMEMBERED)
    unsent: list[CommandId] = Field(default_factory=list, max_length=REMEMBERED)

    def with_reply(self, reply: ReplyMessage) -> "RemoteState":
        """Return the state with a reply that is to be sent; it replaces earlier replies to the same command."""
        replies = [one for one in self.replies if one.id != reply.id][-(REMEMBERED - 1) :]
        kept = {one.id for one in replies}
        unsent = [one for one in self.unsent if one in kept]
        return self.model_copy(update={"replies": [*replies, reply], "unsent": [*unsent, reply.id]})

    def reply_to(self, command_id: str) -> ReplyMessage | None:
        """Return the latest reply to a command, if it is known."""
        return next((one for one in self.replies if one.id == command_id), None)

    def with_trial(self, command_id: str, overrides: Overrides) -> "RemoteState":
        """Return the state with new overrides on trial."""
        trial = Trial(id=command_id, previous=self.overrides)
        return self.model_copy(update={"overrides": dict(overrides), "trial": trial})

    def rolled_back(self, reason: str) -> "RemoteState":
        """Return the state without the change on trial, with a reply that states the reason."""
        if self.trial is None:
            return self
        state = self.model_copy(update={"overrides": self.trial.previous, "trial": None})
        reply = self.reply_to(self.trial.id)
        if reply is None:
            return state
        return state.with_reply(reply.model_copy(update={"status": "rolled-back", "reason": reason[:1_000]}))


class RemoteSettings:
    """The settings of a run: the sensor's own configuration, and over it the settings that hubs changed.

    Args:
        config: TOML file, or None.
        flags: `group.field=value` strings of `--set`.

    Raises:
        InvalidError: the sensor's own configuration is invalid.
    """

    def __init__(self, config: Path | None, flags: Sequence[str]) -> None:
        self._config = config
        self._flags = list(flags)
        own = self._own = load_settings(EdgeSettings, config, flags)
        self.path = state_path(own)
        self.state = _read(self.path) if own.commands.enabled else RemoteState()
        self.settings = self._effective(own)

    def load(self, overrides: Overrides) -> EdgeSettings:
        """Return the settings with these overrides.

        Raises:
            InvalidError: a value is out of range, or values do not fit together.
        """
        given = [f"{name}={text}" for name, text in overrides.items()]
        return load_settings(EdgeSettings, self._config, [*self._flags, *given])

    def begin(self) -> None:
        """Begin a run: start the trial of a new change, or undo a trial that a stop interrupted."""
        trial = self.state.trial
        if trial is None:
            return
        if trial.started:
            self.roll_back("the sensor stopped before it reached a hub with the new settings")
            return
        self.save(self.state.model_copy(update={"trial": trial.model_copy(update={"started": True})}))

    def roll_back(self, reason: str) -> bool:
        """Undo the change on trial; return whether there was one.

        Args:
            reason: reason for the reply to the hub.
        """
        if self.state.trial is None:
            return False
        log.error("a change of settings by a hub is undone", extra={"reason": reason, "id": self.state.trial.id})
        state = self.state.rolled_back(reason)
        try:
            self.save(state)
        except UnavailableError:  # the next start finds the started trial and undoes it
            log.exception("the settings changed by hubs cannot be written")
            self.state = state
        self.settings = self._effective(self._own)
        return True

    def save(self, state: RemoteState) -> None:
        """Replace the file, and keep the state.

        Raises:
            UnavailableError: the disk does not take it; the state stays as it was.
        """
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode_json(state))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise UnavailableError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self.state = state

    def _effective(self, own: EdgeSettings) -> EdgeSettings:
        """Return the settings with the overrides, or the sensor's own if they do not fit it any more."""
        if not self.state.overrides:
            return own
        try:
            return self.load(self.state.overrides)
        except InvalidError as error:
            log.exception(
                "settings that hubs changed are invalid here and have no effect", extra={"reason": str(error)}
            )
            return own


def state_path(own: EdgeSettings) -> Path:
    """Return the path of the file: that of the spool with the suffix `.remote.json`."""
    return own.spool_path().with_suffix(".remote.json")


def _read(path: Path) -> RemoteState:
    """Return the content of the file; without effect if there is none or it is damaged."""
    try:
        return decode_json(RemoteState, path.read_bytes(), STATE_CAP_BYTES)
    except FileNotFoundError:
        return RemoteState()
    except (OSError, InvalidError) as error:
        log.exception(
            "settings that hubs changed cannot be read and have no effect",
            extra={"path": str(path), "reason": str(error)},
        )
        return RemoteState()
