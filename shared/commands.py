"""Commands of hubs to sensors over MQTT, and the sensors' replies.

1. A hub publishes a `CommandMessage` on the sensor's topic `command`, with a message expiry interval. The broker
   keeps it in the sensor's session while the sensor is offline.
2. The sensor answers each command with `ReplyMessage`s on its topic `command-reply`. The last one has a final status.
3. A command that arrives twice under the same id runs once. The sensor sends its last reply again.

Source: docs/commands.md.
"""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from shared.messages.codec import VERSION, Message
from shared.messages.fields import Instant, ItemId, NamePattern

CommandAction = Literal["settings", "change-settings", "restart", "self-test", "clip", "version"]
ReplyStatus = Literal["accepted", "done", "refused", "expired", "rolled-back"]
ACTIONS: Final[tuple[CommandAction, ...]] = get_args(CommandAction)
FINAL_STATUSES: Final[frozenset[ReplyStatus]] = frozenset({"done", "refused", "expired", "rolled-back"})
"""A reply with one of these statuses is the last one of its command."""

COMMAND_CAP_BYTES: Final = 16 * 1024
REPLY_CAP_BYTES: Final = 64 * 1024
REPLY_EXPIRY_S: Final = 86_400
"""Message expiry of a reply in seconds. Source: MQTT 5.0, 3.3.2.3.3."""

CommandId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
SettingName = Annotated[str, Field(pattern=r"^[a-z_0-9]{1,64}\.[a-z_0-9]{1,64}$")]
SettingText = Annotated[str, Field(max_length=1_024)]


class CommandMessage(Message):
    """A command to a sensor.

    `settings` is for `change-settings`: the new value of each setting as text, as `--set` takes it; null removes an
    earlier change, so that the sensor's own configuration applies again. The sensor ignores a command after
    `expires_at`.
    """

    version: Literal[1] = VERSION
    id: CommandId
    site: NamePattern
    sensor: NamePattern
    hub: NamePattern
    action: CommandAction
    sent_at: Instant
    expires_at: Instant
    settings: dict[SettingName, SettingText | None] = Field(default_factory=dict, max_length=64)


class SelfTestFinding(Message):
    """The result of one test of a sensor's self-test: what was tested, whether it works, and the explanation."""

    what: str = Field(max_length=32)
    ok: bool
    text: str = Field(max_length=500)


class ReplyMessage(Message):
    """The reply of a sensor to a command.

    `status`: `accepted` (the result follows), `done`, `refused` (with the `reason`), `expired` (the command came too
    late and was not run), `rolled-back` (a change of settings was undone, with the `reason`). The result of
    `settings` and `change-settings` is `settings`: the effective value of each setting, without secrets. `changed`
    lists those that hubs changed. The result of `self-test` is `findings`, that of `clip` the id of the `event`, that
    of `version` `software`.
    """

    version: Literal[1] = VERSION
    id: CommandId
    site: NamePattern
    sensor: NamePattern
    boot: NamePattern
    action: CommandAction
    status: ReplyStatus
    at: Instant
    reason: str = Field(default="", max_length=1_000)
    settings: dict[SettingName, SettingText] | None = Field(default=None, max_length=512)
    changed: list[SettingName] = Field(default_factory=list, max_length=512)
    findings: list[SelfTestFinding] | None = Field(default=None, max_length=32)
    event: ItemId | None = None
    software: dict[str, Annotated[str, Field(max_length=200)]] | None = Field(default=None, max_length=32)

    @property
    def is_final(self) -> bool:
        """Return whether no further reply to this command follows, unless a change is rolled back."""
        return self.status in FINAL_STATUSES
