"""The interface of a notification channel."""

from collections.abc import Sequence
from typing import Protocol

from hub.notify.rendering import RenderedMessage
from shared.errors import UnavailableError
from shared.messages.alert import AlertMessage


class RetryAfterError(UnavailableError):
    """The receiver asks for a minimum wait before the next attempt.

    Args:
        reason: answer of the receiver.
        after_s: minimum wait, in seconds.
    """

    def __init__(self, reason: str, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Channel(Protocol):
    """Sends alerts to one receiver, and returns when the receiver accepted them."""

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """Send one message.

        Args:
            alerts: one alert, or all of a digest, oldest first.
            text: title and body for people.

        Raises:
            UnavailableError: it may work later (`RetryAfterError` holds the minimum wait).
            InvalidError: the receiver rejects the message for good.
        """
        ...
