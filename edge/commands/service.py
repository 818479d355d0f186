"""Receive the commands of hubs, run them, and publish the replies, on the agent's main thread.

1. Each connection subscribes to the sensor's topic `command`. `edge.commands.rules` decides.
2. Replies are kept in `edge.commands.remote_settings` until the broker acknowledges them. One is under way at a time.
3. After a change of settings or the command `restart`, `restart_due` becomes true once the reply has been sent. The
   program then starts itself again.
4. In a trial the reply `done` must reach a hub: the broker acknowledges it and has a subscriber. Otherwise the change
   is undone after `commands.rollback_after_s`.
"""

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from edge.clock import clock_status
from edge.commands.clip_request import ClipRequests
from edge.commands.remote_settings import Overrides, RemoteSettings, RemoteState
from edge.commands.rules import SettingsView, decide, has_expired, public_settings
from edge.commands.self_test import self_test
from shared.commands import (
    COMMAND_CAP_BYTES,
    REPLY_EXPIRY_S,
    CommandMessage,
    ReplyMessage,
    ReplyStatus,
)
from shared.errors import InvalidError, UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE, decode_json, encode_json
from shared.messages.sensor import StateMessage
from shared.mqtt.session import FAILURE, Acknowledged, Connected, Disconnected, MqttEvent, MqttSession, Received
from shared.mqtt.topics import CommandTopic

log = logging.getLogger(__name__)

FLUSH_S: Final = 5.0
"""A restart waits at most this many seconds for the PUBACK of its reply."""
RETRY_S: Final = 1.0
"""Seconds between two attempts to reach a hub in a trial."""


@dataclass(slots=True)
class _Pending:
    """Waits of the service: times are monotonic, in seconds."""

    mid: int | None = None
    reply: ReplyMessage | None = None
    next_attempt_s: float = 0.0
    trial_until_s: float | None = None
    restart_by_s: float | None = None
    clips: dict[str, tuple[CommandMessage, float]] = field(default_factory=dict)


class CommandService:
    """The commands of one run of a sensor.

    Args:
        link: connection to the broker.
        remote: settings and replies that survive a restart.
        clips: requests to the capture thread.
        state: function that returns the sensor's state message with its report.
    """

    def __init__(
        self, link: MqttSession, remote: RemoteSettings, clips: ClipRequests, state: Callable[[], StateMessage]
    ) -> None:
        self._link = link
        self._remote = remote
        self._clips = clips
        self._state = state
        sensor = remote.settings.sensor
        self._command_topic = str(CommandTopic(sensor.site, sensor.name, "command"))
        self._reply_topic = str(CommandTopic(sensor.site, sensor.name, "command-reply"))
        self._pending = _Pending()
        self._restart = False
        self._resumed = False

    def restart_due(self, now_s: float) -> bool:
        """Return whether the program is to start itself again: the reply is sent, or its PUBACK is late."""
        by_s = self._pending.restart_by_s
        return self._restart or (by_s is not None and (not self._remote.state.unsent or now_s >= by_s))

    def handle(self, signals: list[MqttEvent], now_s: float) -> None:
        """Handle the broker's signals, then send the next reply.

        Args:
            signals: signals since the last call; those of other topics are ignored.
            now_s: monotonic time.
        """
        self._resume()
        self._watch_trial(now_s)
        for signal in signals:
            match signal:
                case Connected():
                    self._pending.mid = self._pending.reply = None
                    self._link.subscribe(self._command_topic, qos=1)
                case Disconnected():
                    self._pending.mid = self._pending.reply = None
                case Received(topic=self._command_topic):
                    self._receive(signal, now_s)
                    self._link.acknowledge(signal)
                case Acknowledged(mid=mid, reason=reason) if mid == self._pending.mid:
                    self._acknowledged(reason, now_s)
        self._finish_clips(now_s)
        self._send(now_s)

    def _resume(self) -> None:
        """At the first step of a run, reply to the commands that the restart ended."""
        if self._resumed:
            return
        self._resumed = True
        for reply in self._remote.state.replies:
            if reply.status != "accepted":
                continue
            match reply.action:
                case "restart":
                    self._keep(self._updated(reply, "done"))
                case "clip":
                    self._keep(self._updated(reply, "refused", reason="the sensor was restarted before the clip"))

    def _receive(self, message: Received, now_s: float) -> None:
        try:
            command = decode_json(CommandMessage, message.payload, COMMAND_CAP_BYTES)
        except InvalidError as error:
            log.warning("a command is not valid and has no effect", extra={"reason": str(error)})
            return
        sensor = self._remote.settings.sensor
        if (command.site, command.sensor) != (sensor.site, sensor.name) or message.retain:
            log.warning("a command is retained or for another sensor and has no effect", extra={"id": command.id})
            return
        if (known := self._remote.state.reply_to(command.id)) is not None:
            self._keep(known)
            return
        log.info("command", extra={"id": command.id, "action": command.action, "hub": command.hub})
        if (late := has_expired(command, datetime.now(UTC), clock_status(), message.expiry_s)) is not None:
            self._reply(command, "expired", late)
            return
        self._run(command, message, now_s)

    def _run(self, command: CommandMessage, message: Received, now_s: float) -> None:
        remote = self._remote
        view = SettingsView(remote.settings, remote.state.overrides, remote.load, remote.state.trial is not None)
        decision = decide(command, view)
        result: dict[str, Any] = {}
        match decision.effect:
            case "change" if decision.overrides is not None:
                self._change(command, decision.overrides, now_s)
                return
            case "restart":
                self._pending.restart_by_s = now_s + FLUSH_S
            case "clip":
                rest_s = (command.expires_at - command.sent_at).total_seconds()
                self._pending.clips[command.id] = (command, now_s + (message.expiry_s or rest_s))
                self._clips.add(command.id)
            case "self-test":
                result = {"findings": self_test(self._state())}
        if decision.status == "done" and command.action == "settings":
            result = {"settings": public_settings(remote.settings), "changed": sorted(remote.state.overrides)}
        if decision.status == "done" and command.action == "version":
            result = {"software": self._software()}
        self._reply(command, decision.status, decision.reason, **result)

    def _change(self, command: CommandMessage, overrides: Overrides, now_s: float) -> None:
        reply = self._made(command, "accepted", "the sensor restarts with the new settings")
        try:
            self._remote.save(self._remote.state.with_trial(command.id, overrides).with_reply(reply))
        except UnavailableError as error:
            self._reply(command, "refused", str(error))
            return
        self._pending.restart_by_s = now_s + FLUSH_S

    def _watch_trial(self, now_s: float) -> None:
        """Begin the trial's reply and deadline in a new run; undo the change when the deadline has passed."""
        trial, pending = self._remote.state.trial, self._pending
        if trial is None or not trial.started:
            return
        if pending.trial_until_s is None:
            pending.trial_until_s = now_s + self._remote.settings.commands.rollback_after_s
            reply = self._remote.state.reply_to(trial.id)
            if reply is not None:
                shown = public_settings(self._remote.settings)
                changed = sorted(self._remote.state.overrides)
                self._keep(self._updated(reply, "done", settings=shown, changed=changed))
        elif now_s >= pending.trial_until_s:
            within_s = self._remote.settings.commands.rollback_after_s
            self._remote.roll_back(f"the sensor did not reach a hub within {within_s:g} s with the new settings")
            self._restart = True

    def _acknowledged(self, reason: int, now_s: float) -> None:
        """Handle the PUBACK of the reply under way."""
        pending, reply = self._pending, self._pending.reply
        pending.mid = pending.reply = None
        trial = self._remote.state.trial
        if reply is None:
            return
        if trial is not None and trial.id == reply.id and trial.started:
            if reason != 0:  # refused, or no hub receives replies at this broker
                pending.next_attempt_s = now_s + RETRY_S
                return
            self._store(self._remote.state.model_copy(update={"trial": None, "unsent": self._without(reply.id)}))
            pending.trial_until_s = None
            log.info("a change of settings by a hub is confirmed", extra={"id": reply.id})
            return
        if reason >= FAILURE:
            log.error("the broker refuses a reply to a command", extra={"id": reply.id, "reason_code": reason})
        if self._remote.state.reply_to(reply.id) == reply:
            self._store(self._remote.state.model_copy(update={"unsent": self._without(reply.id)}))

    def _send(self, now_s: float) -> None:
        pending, state = self._pending, self._remote.state
        if pending.mid is not None or not state.unsent or now_s < pending.next_attempt_s or self._restart:
            return
        reply = state.reply_to(state.unsent[0])
        if reply is None or not self._link.connected:
            return
        try:
            pending.mid = self._link.publish(
                self._reply_topic, encode_json(reply), content_type=JSON_CONTENT_TYPE, expiry_s=REPLY_EXPIRY_S
            )
            pending.reply = reply
        except UnavailableError:
            return

    def _finish_clips(self, now_s: float) -> None:
        """Reply to requests for clips that were fulfilled or that have expired."""
        clips = self._pending.clips
        for command_id, event in self._clips.take_fulfilled().items():
            command, _ = clips.pop(command_id)
            self._reply(command, "done", event=event)
        for command, until_s in list(clips.values()):
            if now_s >= until_s:
                del clips[command.id]
                self._clips.remove(command.id)
                self._reply(command, "expired", "the source delivered no clip in time")

    def _reply(self, command: CommandMessage, status: ReplyStatus, reason: str = "", **result: Any) -> None:  # noqa: ANN401
        self._keep(self._made(command, status, reason, **result))

    def _made(self, command: CommandMessage, status: ReplyStatus, reason: str, **result: Any) -> ReplyMessage:  # noqa: ANN401
        return ReplyMessage(
            id=command.id,
            site=command.site,
            sensor=command.sensor,
            boot=self._state().boot,
            action=command.action,
            status=status,
            at=datetime.now(UTC),
            reason=reason[:1_000],
            **result,
        )

    def _updated(self, reply: ReplyMessage, status: ReplyStatus, reason: str = "", **result: Any) -> ReplyMessage:  # noqa: ANN401
        """Return the reply of an earlier run with the status of this run."""
        now = {"status": status, "reason": reason, "boot": self._state().boot, "at": datetime.now(UTC)}
        return reply.model_copy(update=now | result)

    def _keep(self, reply: ReplyMessage) -> None:
        self._store(self._remote.state.with_reply(reply))

    def _store(self, state: RemoteState) -> None:
        """Keep the state in memory even where the disk does not take it, so that replies are still sent."""
        try:
            self._remote.save(state)
        except UnavailableError as error:
            log.warning("replies to commands are not kept on disk", extra={"reason": str(error)})
            self._remote.state = state

    def _without(self, command_id: str) -> list[str]:
        return [one for one in self._remote.state.unsent if one != command_id]

    def _software(self) -> dict[str, str]:
        return {
            "earwitness": self._state().software,
            "python": platform.python_version(),
            "system": platform.platform(),
        }
