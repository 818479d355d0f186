"""Whether any hub takes events, as hubs say themselves: if none does for long, events stay in the spool.

A broker keeps events for a hub that is away, but not without end: beyond its limits Mosquitto drops them and
acknowledges them all the same, and the spool would forget them. A short absence, such as a restart, is left to it.
"""

from typing import Final

from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN

_KNOWN: Final = {INTAKE_OPEN: True, INTAKE_CLOSED: False}


class HubAvailability:
    """What hubs said of their intakes.

    Where no hub ever said anything, as older ones or where the broker does not let sensors read, they count as open.

    Args:
        patience_s: how long all may be closed before events are held.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._open: dict[str, bool] = {}
        self._closed_since_s: float | None = None

    def reset(self) -> None:
        """What was said is about to be said again; what is not, was withdrawn meanwhile."""
        self._open = {}

    def on_intake_message(self, topic: str, payload: bytes, now_s: float) -> None:
        """A hub spoke; an empty payload withdraws what it said.

        Args:
            topic: of its intake.
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
        """Whether events must stay in the spool; `now_s` is monotonic."""
        since_s = self._closed_since_s
        return bool(self._open) and since_s is not None and now_s - since_s >= self._patience_s
