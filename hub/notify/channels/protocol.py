"""What a way out must be able to do."""

from collections.abc import Sequence
from typing import Protocol

from hub.notify.rendering import RenderedMessage
from shared.errors import UnavailableError
from shared.messages import AlertMessage


class RetryAfterError(UnavailableError):
    """They are there, and ask not to be tried again before some time has passed.

    Args:
        words: what they said.
        after_s: how long to leave them alone, in seconds.
    """

    def __init__(self, words: str, after_s: float) -> None:
        super().__init__(words)
        self.after_s = after_s


class Channel(Protocol):
    """Tells someone about alerts, and returns when they have it."""

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """Tell them.

        Args:
            alerts: one, or all of a digest, the oldest first.
            text: what people read.

        Raises:
            Unavailable: it may work later (`Later` says when).
            Invalid: they will never take it.
        """
        ...
