"""Push changes live to any number of clients: server-sent events, read from the event store's stream of changes.

1. While a client is connected, one thread reads that stream, whichever hub writes it. The feed sends an event once a
   hub has judged it, with its episodes, its alert and its sensor as they are then. The id of a change's last message
   is the change's position in the stream.
2. Each client has its own queue. The feed disconnects a client that does not keep up. The client reconnects with the
   last id that it received.
3. The feed reads what a client missed from the same stream. If that is too much, it sends `reset`, and the client
   reloads.
"""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from hub.domain.delivery_policy import is_news
from hub.domain.records import StoredEvent, to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.web.context import WebContext
from hub.web.listing import event_views
from hub.web.resolve import last_events
from hub.web.schemas import episode_view
from hub.web.sensor_schemas import sensor_view
from shared.errors import UnavailableError
from shared.messages.alert import AlertMessage
from shared.worker import Worker

_BLOCK_MS: Final = 200
_BATCH: Final = 256
_JUDGED_WITHIN_S: Final = 5.0
"""After this time the feed sends an event that no hub has judged as it is."""
_SENSORS_EVERY_S: Final = 2.0
_RETRY_CAP_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.5
_QUEUE: Final = 2_000
MISSED: Final = 1_000
"""Most changes that are sent again to a client that reconnects."""


@dataclass(frozen=True, slots=True)
class SseMessage:
    """One server-sent event; `position` is set if everything up to it was sent."""

    kind: str
    data: str
    position: str | None = None

    def text(self) -> str:
        """Return the message as sent. Source: WHATWG HTML, 9.2.6."""
        name = f"id: {self.position}\n" if self.position else ""
        return f"{name}event: {self.kind}\ndata: {self.data}\n\n"


@dataclass(eq=False)
class SseClient:
    """A connected client: a queue in its event loop; None in the queue ends the stream."""

    loop: asyncio.AbstractEventLoop
    joined_at: str
    queue: "asyncio.Queue[SseMessage | None]" = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def put(self, news: Iterable[SseMessage | None]) -> None:
        """Add to the queue from any thread; if it is full, end the stream instead."""

        def add() -> None:
            for one in news:
                if self.queue.full():
                    while not self.queue.empty():
                        self.queue.get_nowait()
                    self.queue.put_nowait(None)
                    return
                self.queue.put_nowait(one)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(add)


class LiveFeed:
    """Sends changes to clients.

    Args:
        parts: the hub's parts; the feed disconnects all clients soon after `parts.stopping` is set.
    """

    def __init__(self, parts: WebContext) -> None:
        self._parts = parts
        self._redis = parts.archive.client
        self._clients: set[SseClient] = set()
        self._lock = threading.Lock()
        self._joined = threading.Event()
        self._sent_to = "0-0"
        self._states: dict[str, str] = {}
        self._waiting: deque[tuple[str, str, float]] = deque()
        self._read_to = "0-0"
        self._sensors_at = 0.0
        self.worker = Worker("feed", self._step, failed=self._reset, cap_s=_RETRY_CAP_S)

    def start(self) -> None:
        """Start to read the stream of changes."""
        self._sent_to = self._read_to = self._newest()
        self.worker.start()

    def join(self, loop: asyncio.AbstractEventLoop) -> SseClient:
        """Connect a client; it receives all changes from now on."""
        with self._lock:
            client = SseClient(loop, self._sent_to)
            if self._parts.stopping.is_set():
                client.queue.put_nowait(None)
            self._clients.add(client)
        self._joined.set()
        return client

    def leave(self, client: SseClient) -> None:
        """Disconnect a client."""
        with self._lock:
            self._clients.discard(client)

    @raises_unavailable
    def replay(self, after: str, upto: str) -> list[SseMessage]:
        """Return the messages after one position, up to another; `reset` if they are too many or not stored any more.

        Raises:
            UnavailableError: the store is unavailable.
        """
        rows = self._redis.xrange(keys.CHANGES, f"({after}", upto, count=MISSED + 1)
        oldest = self._redis.xrange(keys.CHANGES, count=1)
        if len(rows) > MISSED or not oldest or _order(after) < _order(oldest[0][0].decode()):
            return [SseMessage("reset", "{}", upto)]
        return self._news([(name.decode(), row[b"added"].decode()) for name, row in rows if b"added" in row])

    def _step(self) -> float:
        if self._parts.stopping.is_set():
            self.worker.wind_down()
            self._put([None])
            return 0.0
        if self._idle():
            self._waiting.clear()
            self._read_to = self._sent_to
            self._joined.wait(_LOOK_EVERY_S)
            return 0.0
        rows = self._changes(self._read_to)
        now = time.monotonic()
        self._waiting += [(name, event, now) for name, event in rows if event]
        self._read_to = rows[-1][0] if rows else self._read_to
        self._broadcast(self._waiting, self._read_to)
        if now >= self._sensors_at:
            self._send_states()
            self._sensors_at = now + _SENSORS_EVERY_S
        return 0.0

    def _reset(self, error: Exception) -> None:
        """Skip changes that cannot be sent, as they would fail again, and make clients reload."""
        if not isinstance(error, UnavailableError):
            self._waiting.clear()
            self._sent_to = self._read_to = self._newest()
            self._put([SseMessage("reset", "{}", self._sent_to)])

    def _put(self, news: Iterable[SseMessage | None]) -> None:
        with self._lock:
            for client in self._clients:
                client.put(news)

    def _idle(self) -> bool:
        """Return whether no client is connected; a client that connects later receives changes from then on."""
        self._joined.clear()
        if self._clients:
            return False
        newest = self._newest()
        with self._lock:
            if not self._clients:
                self._sent_to = newest
            return not self._clients

    def _broadcast(self, waiting: "deque[tuple[str, str, float]]", read_to: str) -> None:
        """Send the waiting events that were judged, in order, and remove them from `waiting`."""
        ready: list[tuple[str, str]] = []
        if waiting:
            judged = self._judged([event for _, event, _ in list(waiting)[:_BATCH]])
            for done in judged:
                name, event, since = waiting[0]
                if not done and time.monotonic() - since < _JUDGED_WITHIN_S:
                    break
                ready.append((name, event))
                waiting.popleft()
        news = self._news(ready) if ready and self._clients else []
        with self._lock:
            self._sent_to = ready[-1][0] if waiting and ready else self._sent_to if waiting else read_to
            for client in self._clients:
                client.put(news)

    def _news(self, changes: Sequence[tuple[str, str]]) -> list[SseMessage]:
        """Return the messages about added events, in order of position."""
        events = {str(event.id): event for event in self._parts.archive.fetch([name for _, name in changes])}
        recents = self._parts.episode_store.sensor_states(sorted({event.place for event in events.values()}))
        sensors = {sensor.place: sensor for sensor in self._parts.archive.sensors.all()} if events else {}
        views = dict(zip(events, event_views(self._parts, list(events.values())), strict=True))
        news = []
        for position, name in changes:
            event = events.get(name)
            if event is None:
                continue
            alert = self._parts.archive.alerts.get(name)
            news.append(SseMessage("event", views[name].model_dump_json()))
            if event.place in sensors:
                news.append(SseMessage("sensor", sensor_view(sensors[event.place], event).model_dump_json()))
            news += self._of_episodes(event, recents)
            if alert is not None and is_news(alert, self._parts.settings.notify.late_after_s):
                news.append(SseMessage("alert", alert.model_dump_json()))
            last = news.pop()
            news.append(SseMessage(last.kind, last.data, position))
        return news

    def _of_episodes(self, event: StoredEvent, recents: dict[str, Any]) -> list[SseMessage]:
        start_ms = to_ms(event.captured_at)
        episodes = [episode for many in recents[event.place].episodes.values() for episode in many]
        return [
            SseMessage("episode", episode_view(episode).model_dump_json())
            for episode in episodes
            if episode.opened_ms <= start_ms < episode.last_ms
        ]

    def _send_states(self) -> None:
        """Send the sensors whose announced state has changed."""
        sensors = self._parts.archive.sensors.all()
        changed = [s for s in sensors if self._states.get(s.place, s.state) != s.state]
        self._states = {sensor.place: sensor.state for sensor in sensors}
        last = last_events(self._parts.archive, changed)
        views = [sensor_view(sensor, last.get(sensor.place)) for sensor in changed]
        self._put([SseMessage("sensor", view.model_dump_json()) for view in views])

    @raises_unavailable
    def _changes(self, after: str) -> list[tuple[str, str]]:
        """Return positions and added events after one, waiting up to `_BLOCK_MS`; "" for a removed event."""
        answer = self._redis.xread({keys.CHANGES: after}, count=_BATCH, block=_BLOCK_MS)
        rows = answer[0][1] if answer else []
        return [(name.decode(), row.get(b"added", b"").decode()) for name, row in rows]

    @raises_unavailable
    def _judged(self, events: Sequence[str]) -> list[bool]:
        """Return for each event whether a hub judged it and enriched its alert."""
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hget(keys.event(event), "completed")
            pipe.get(keys.alert(event))
        rows = pipe.execute()
        return [
            completed is not None and (alert is None or _is_enriched(alert))
            for completed, alert in zip(rows[::2], rows[1::2], strict=True)
        ]

    def _newest(self) -> str:
        try:
            return self._parts.archive.changes.last_id()
        except UnavailableError:
            return "0-0"


def _is_enriched(alert: bytes) -> bool:
    """Return whether a stored alert is enriched; an unreadable one counts as enriched, as it never will be."""
    try:
        return AlertMessage.model_validate_json(alert).recurrence is not None
    except ValidationError:
        return True


def hello_message(position: str) -> SseMessage:
    """Return the first message to a client; the client can reconnect from its position."""
    return SseMessage("hello", json.dumps({"position": position}), position)


def _order(position: str) -> tuple[int, int]:
    ms, _, number = position.partition("-")
    return int(ms), int(number or 0)
