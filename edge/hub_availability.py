"""Availability of hubs, from their intake messages. If none accepts events for long, events stay in the spool.

A broker queues events for an offline hub only up to its limits. Beyond them Mosquitto drops events and still
acknowledges them, so the spool would lose them. The broker's queue covers a short absence, such as a restart.
"""

from typing import Final

from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN

_KNOWN: Final = {INTAKE_OPEN: True, INTAKE_CLOSED: False}


class HubAvailability:
    """The intake status of each hub.

    Without any intake message hubs count as open: older hubs publish none, and a broker may forbid reading them.

    Args:
        patience_s: seconds for which all intakes may be closed before events are held.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._open: dict[str, bool] = {}
        self._closed_since_s: float | None = None

    def reset(self) -> None:
        """Forget all statuses. After a reconnection the broker sends the retained ones again."""
        self._open = {}

    def on_intake_message(self, topic: str, payload: bytes, now_s: float) -> None:
        """Record a hub's intake message; an empty payload withdraws the hub's status.

        Args:
            topic: topic of the hub's intake.
            payload: `open` or `closed`; anything else counts as withdrawn.
            now_s: monotonic time.
        """
        if (is_open := _KNOWN.get(payload)) is None:
            self._open.pop(topic, None)
        else:
            self._open[topic] = is_open
        if not self._open or any(self._open.values()):
            self._closed_since_s = None
        elif self._closed_since_s is None:
            self._closed_since_s = now_s

    def should_hold(self, now_s: float) -> bool:
        """Return whether events must stay in the spool; `now_s` is monotonic."""
        since_s = self._closed_since_s
        return bool(self._open) and since_s is not None and now_s - since_s >= self._patience_s
