"""What happens, told live to any number of pages: server-sent events, read from the archive's stream of changes.

1. While anybody listens, one thread reads that stream, whichever hub writes it. An event is told once it was judged,
   with the episodes it belongs to, its alert, and its sensor as they are then; each change's position is the id of
   its last message.
2. Each client has a queue of its own; one that does not keep up is let go, and comes back with the id it saw last.
3. What a client missed is read from the same stream; if that is too much, it is told to load anew (`reset`).
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
from hub.store.events import translated
from hub.web.context import WebContext
from hub.web.schemas import episode_view, event_view, sensor_view
from shared.errors import UnavailableError
from shared.messages import AlertMessage
from shared.worker import Worker

_BLOCK_MS: Final = 200
_BATCH: Final = 256
_JUDGED_WITHIN_S: Final = 5.0
"""An event that no hub has judged by then is told as it is."""
_SENSORS_EVERY_S: Final = 2.0
_RETRY_CAP_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.5
_QUEUE: Final = 2_000
MISSED: Final = 1_000
"""Most changes that are told again to a client that comes back."""


@dataclass(frozen=True, slots=True)
class SseMessage:
    """One server-sent event; `position` is there if everything up to it was told."""

    kind: str
    data: str
    position: str | None = None

    def text(self) -> str:
        """As it is sent. Source: WHATWG HTML, 9.2.6."""
        name = f"id: {self.position}\n" if self.position else ""
        return f"{name}event: {self.kind}\ndata: {self.data}\n\n"


@dataclass(eq=False)
class SseClient:
    """Who listens: a queue in a loop of its own; None ends it."""

    loop: asyncio.AbstractEventLoop
    joined_at: str
    queue: "asyncio.Queue[SseMessage | None]" = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def put(self, news: Iterable[SseMessage | None]) -> None:
        """Add to the queue, from any thread; a full one ends instead."""

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
    """Tells clients what happens.

    Args:
        parts: of the hub; clients are let go soon after `parts.stopping` is set.
    """

    def __init__(self, parts: WebContext) -> None:
        self._parts = parts
        self._redis = parts.archive.client
        self._clients: set[SseClient] = set()
        self._lock = threading.Lock()
        self._joined = threading.Event()
        self._told_to = "0-0"
        self._states: dict[str, str] = {}
        self._waiting: deque[tuple[str, str, float]] = deque()
        self._read_to = "0-0"
        self._sensors_at = 0.0
        self.worker = Worker("feed", self._step, failed=self._reset, cap_s=_RETRY_CAP_S)

    def start(self) -> None:
        """Begin to read."""
        self._told_to = self._read_to = self._newest()
        self.worker.start()

    def join(self, loop: asyncio.AbstractEventLoop) -> SseClient:
        """Listen from now on."""
        with self._lock:
            client = SseClient(loop, self._told_to)
            if self._parts.stopping.is_set():
                client.queue.put_nowait(None)
            self._clients.add(client)
        self._joined.set()
        return client

    def leave(self, client: SseClient) -> None:
        """Listen no more."""
        with self._lock:
            self._clients.discard(client)

    @translated
    def replay(self, after: str, upto: str) -> list[SseMessage]:
        """What happened after one position, up to another.

        Raises:
            Unavailable: the store is away.
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
            self._read_to = self._told_to
            self._joined.wait(_LOOK_EVERY_S)
            return 0.0
        rows = self._changes(self._read_to)
        now = time.monotonic()
        self._waiting += [(name, event, now) for name, event in rows if event]
        self._read_to = rows[-1][0] if rows else self._read_to
        self._broadcast(self._waiting, self._read_to)
        if now >= self._sensors_at:
            self._tell_states()
            self._sensors_at = now + _SENSORS_EVERY_S
        return 0.0

    def _reset(self, error: Exception) -> None:
        """Leave out what cannot be told, as it would fail again: clients are told to load anew."""
        if not isinstance(error, UnavailableError):
            self._waiting.clear()
            self._told_to = self._read_to = self._newest()
            self._put([SseMessage("reset", "{}", self._told_to)])

    def _put(self, news: Iterable[SseMessage | None]) -> None:
        with self._lock:
            for client in self._clients:
                client.put(news)

    def _idle(self) -> bool:
        """Whether nobody listens; whoever comes then hears what happens from now on."""
        self._joined.clear()
        if self._clients:
            return False
        newest = self._newest()
        with self._lock:
            if not self._clients:
                self._told_to = newest
            return not self._clients

    def _broadcast(self, waiting: "deque[tuple[str, str, float]]", read_to: str) -> None:
        """Tell those that were judged, in order, and forget them."""
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
            self._told_to = ready[-1][0] if waiting and ready else self._told_to if waiting else read_to
            for client in self._clients:
                client.put(news)

    def _news(self, changes: Sequence[tuple[str, str]]) -> list[SseMessage]:
        """What there is to tell of events that came, by position."""
        events = {str(event.id): event for event in self._parts.archive.fetch([name for _, name in changes])}
        recents = self._parts.episode_store.sensor_states(sorted({event.place for event in events.values()}))
        sensors = {sensor.place: sensor for sensor in self._parts.archive.sensors.all()} if events else {}
        names = self._parts.name_matcher.names_of(list(events))
        news = []
        for position, name in changes:
            event = events.get(name)
            if event is None:
                continue
            alert = self._parts.archive.alerts.get(name)
            news.append(SseMessage("event", event_view(event, names.get(name)).model_dump_json()))
            if event.place in sensors:
                news.append(SseMessage("sensor", sensor_view(sensors[event.place]).model_dump_json()))
            news += self._of_episodes(event, recents)
            if alert is not None and is_news(alert, self._parts.settings.notify.late_after_s):
                news.append(SseMessage("alert", alert.model_dump_json()))
            last = news.pop()
            news.append(SseMessage(last.kind, last.data, position))
        return news

    def _of_episodes(self, event: StoredEvent, recents: dict[str, Any]) -> list[SseMessage]:
        start_ms = to_ms(event.captured_at)
        own = [episode for many in recents[event.place].episodes.values() for episode in many]
        return [
            SseMessage("episode", episode_view(episode).model_dump_json())
            for episode in own
            if episode.opened_ms <= start_ms < episode.last_ms
        ]

    def _tell_states(self) -> None:
        """Tell sensors whose announced state is another than before."""
        sensors = self._parts.archive.sensors.all()
        changed = [s for s in sensors if self._states.get(s.place, s.state) != s.state]
        self._states = {sensor.place: sensor.state for sensor in sensors}
        self._put([SseMessage("sensor", sensor_view(sensor).model_dump_json()) for sensor in changed])

    @translated
    def _changes(self, after: str) -> list[tuple[str, str]]:
        """Positions and events that came after one, waited for a moment; "" of an event that went."""
        answer = self._redis.xread({keys.CHANGES: after}, count=_BATCH, block=_BLOCK_MS)
        rows = answer[0][1] if answer else []
        return [(name.decode(), row.get(b"added", b"").decode()) for name, row in rows]

    @translated
    def _judged(self, events: Sequence[str]) -> list[bool]:
        """Whether events were judged, and their alerts completed."""
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hget(keys.event(event), "completed")
            pipe.get(keys.alert(event))
        rows = pipe.execute()
        return [
            completed is not None and (alert is None or _is_complete(alert))
            for completed, alert in zip(rows[::2], rows[1::2], strict=True)
        ]

    def _newest(self) -> str:
        try:
            return self._parts.archive.changes.last_id()
        except UnavailableError:
            return "0-0"


def _is_complete(alert: bytes) -> bool:
    """Whether a stored alert was completed; one that cannot be read will not be."""
    try:
        return AlertMessage.model_validate_json(alert).recurrence is not None
    except ValidationError:
        return True


def hello_message(position: str) -> SseMessage:
    """What a client is told first, so that it can come back from there."""
    return SseMessage("hello", json.dumps({"position": position}), position)


def _order(position: str) -> tuple[int, int]:
    ms, _, number = position.partition("-")
    return int(ms), int(number or 0)
