"""Send a clearly marked test alert through one channel now, regardless of its rules."""

import uuid
from datetime import UTC, datetime

from hub.notify.delivery import ConfiguredChannel
from hub.notify.dispatcher import MQTT
from hub.notify.rendering import RenderedMessage
from hub.notify.service import notifiers_of
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, MatchMessage


def channel_of(settings: HubSettings, name: str) -> ConfiguredChannel:
    """Return a channel of the settings by its name.

    Raises:
        InvalidError: there is no such channel, it cannot be used, or it is MQTT.
    """
    if name == MQTT:
        raise InvalidError("MQTT clients would read a test as an alert; `earwitness-hub check` tests the broker")
    channels = notifiers_of(settings)
    channel = next((channel for channel in channels if channel.name == name), None)
    if channel is None:
        known = ", ".join(channel.name for channel in channels) or "none"
        raise InvalidError(f"no channel {name!r} in the settings; there are: {known}")
    return channel


def send_test_alert(channel: ConfiguredChannel, hub: str) -> None:
    """Send a test alert through a channel.

    Args:
        channel: of the settings.
        hub: name of this hub.

    Raises:
        InvalidError: the receiver refuses it.
        UnavailableError: the receiver does not answer.
    """
    now = datetime.now(UTC)
    match = MatchMessage(event="test.test.test.0", site="test", sensor="test", captured_at=now, level=0.0, shared={})
    alert = AlertMessage(
        event=f"test.{uuid.uuid4().hex[:12]}.0",
        site="test",
        sensor="test",
        captured_at=now,
        laeq=0.0,
        lafmax=0.0,
        level_unit="dBFS",
        presence={},
        matches=[match],
    )
    text = RenderedMessage(
        title="TEST alert from Earwitness: no sound was detected",
        body=f"Hub {hub} sent this to test the channel {channel.name}. No action is needed.",
        page=channel.wording.page(),
    )
    channel.notifier.send([alert], text)
