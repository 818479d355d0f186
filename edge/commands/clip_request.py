"""Requests of hubs for a clip. The main thread asks, the capture thread fulfils."""

from threading import Lock


class ClipRequests:
    """The commands that wait for the next clip; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: list[str] = []
        self._fulfilled: dict[str, str] = {}

    @property
    def wanted(self) -> bool:
        """Return whether a command waits for a clip; the next clip is then sent whatever its level is."""
        return bool(self._waiting)

    def add(self, command_id: str) -> None:
        """Ask for the next clip."""
        with self._lock:
            self._waiting.append(command_id)

    def remove(self, command_id: str) -> None:
        """Withdraw a request that has expired."""
        with self._lock:
            self._waiting = [one for one in self._waiting if one != command_id]

    def fulfil(self, event_id: str) -> bool:
        """Record the event that answers all requests; return whether there were any."""
        with self._lock:
            found = bool(self._waiting)
            self._fulfilled |= dict.fromkeys(self._waiting, event_id)
            self._waiting = []
            return found

    def take_fulfilled(self) -> dict[str, str]:
        """Return the ids of fulfilled commands with their events, once."""
        with self._lock:
            fulfilled, self._fulfilled = self._fulfilled, {}
            return fulfilled
