"""A day with a clock that jumps, from the microphone to the archive: every clip once, in order, with its status."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.capture import Capture
from edge.event_times import TimeCorrectingPublisher
from edge.publisher import SpoolPublisher
from edge.settings import EdgeSettings
from edge.sources import AudioClip, SourceItem
from edge.spool import Spool
from edge.spool_writer import Destination
from hub.domain.records import StoredEvent
from hub.runtime.embedded_servers import Servers
from hub.store.event_queries import EventFilter, EventQueries
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.events import ClockStatus
from shared.messages.codec import encode_json
from shared.messages.sensor import SensorReport, StateMessage
from shared.mqtt.session import Acknowledged, Connected
from shared.mqtt.topics import SensorTopic
from shared.settings import load_settings
from tests.pipelines import pipeline_of

CLIPS = 6
"""One of each fourth hour."""
STEP = timedelta(hours=4)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
IN_1970 = datetime(1970, 1, 1, tzinfo=UTC) - NOON
EVENTS, STATES = str(SensorTopic("demo", "roof", "event")), str(SensorTopic("demo", "roof", "state"))
WAVEFORM = np.zeros(8_000, np.float32)


@dataclass(frozen=True)
class Scenario:
    """The error of the clock in each third of the day, and its status."""

    errors: tuple[timedelta, timedelta, timedelta]
    statuses: tuple[ClockStatus, ClockStatus, ClockStatus]

    def at(self, number: int) -> tuple[timedelta, ClockStatus]:
        third = 3 * number // CLIPS
        return self.errors[third], self.statuses[third]


RIGHT = timedelta(0)
AHEAD = Scenario((RIGHT, DAY, RIGHT), ("synchronised", "unsynchronised", "synchronised"))
BEHIND = Scenario((RIGHT, -DAY, RIGHT), ("synchronised", "unsynchronised", "synchronised"))
NEVER_SET = Scenario((IN_1970, RIGHT, RIGHT), ("unsynchronised", "synchronised", "synchronised"))
SET_BY_HAND = Scenario((IN_1970, IN_1970, RIGHT), ("unsynchronised", "unsynchronised", "unsynchronised"))
AHEAD_ALONE = Scenario((RIGHT, DAY, RIGHT), ("unknown", "unsynchronised", "unsynchronised"))
BEHIND_ALONE = Scenario((RIGHT, -DAY, RIGHT), ("unknown", "unsynchronised", "unsynchronised"))
"""Nothing synchronises the clock, so the hub measures it."""


class Microphone:
    """Gives clips stamped by a clock that jumps; `sent` follows each clip."""

    live, payload_format, description = True, "flac", "a microphone"

    def __init__(self, scenario: Scenario, sent: Callable[[int], None]) -> None:
        self._scenario = scenario
        self._sent = sent
        self.number = 0

    @property
    def status(self) -> ClockStatus:
        return self._scenario.at(self.number)[1]

    def clips(self, _stop: threading.Event) -> Iterator[SourceItem]:
        for self.number in range(CLIPS):
            error, _ = self._scenario.at(self.number)
            elapsed = self.number * STEP
            began, began_s = NOON + elapsed + error, elapsed.total_seconds()
            yield AudioClip(WAVEFORM, 8_000, began, continues=self.number > 0, began_s=began_s)
            self._sent(self.number)


@dataclass
class Line:
    """Carries every message at once."""

    mids: Iterator[int] = field(default_factory=lambda: count(1))
    under_way: dict[int, bytes] = field(default_factory=dict)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (topic, retain, qos, content_type) == (EVENTS, False, 1, "application/cbor")
        mid = next(self.mids)
        self.under_way[mid] = payload
        return mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert (topic_filter, qos) == ("earwitness/v1/hubs/+/intake", 0)

    def rival(self) -> None:
        """No other client is here."""

    def settled(self) -> None:
        """The line never ends."""


class Day:
    """A sensor, its line and a hub; the time is that of the clips."""

    def __init__(self, scenario: Scenario, folder: Path, archive: EventStore) -> None:
        self.scenario, self.archive, self.number = scenario, archive, 0
        self.line, self.spool = Line(), Spool(folder / "s.db", 10**8)
        self.microphone = Microphone(scenario, self.clip)
        settings = load_settings(EdgeSettings, None, ["sensor.site=demo", "sensor.name=roof", "levels.series=false"])
        self.capture = Capture(settings, self.microphone, Destination(self.spool, lambda: None), "b")
        self.publisher = SpoolPublisher(
            TimeCorrectingPublisher(self.line, self.capture.clock, "b"),
            self.spool,
            resend_window_s=0.0,
            patience_s=1e9,
        )
        self.hub = pipeline_of(Stores.of(archive), self.now)
        self.connected_from = 0

    def clip(self, number: int) -> None:
        """Send what the line carries after a clip."""
        self.number = number
        if number < self.connected_from:
            return
        if number == self.connected_from:
            self.publisher.handle([Connected(session_present=False, epoch=1)], self.now_s, self.now_s)
        self.report()
        while self.publisher.publish_pending(self.now_s):
            mids = sorted(self.line.under_way)
            list(self.hub.handle_all([(EVENTS, self.line.under_way[mid]) for mid in mids]))
            for mid in mids:
                del self.line.under_way[mid]
            self.publisher.handle([Acknowledged(mid, 0, 1) for mid in mids], self.now_s, self.now_s)

    @property
    def now_s(self) -> float:
        return self.number * STEP.total_seconds()

    def now(self) -> datetime:
        """Return the time at which the hub receives the latest clip."""
        return NOON + self.number * STEP + timedelta(seconds=2)

    def report(self) -> None:
        """Publish the state, as the agent does after each jump of its clock."""
        at = self.now() + self.scenario.at(self.number)[0]
        state = StateMessage(
            site="demo",
            sensor="roof",
            boot="b",
            state="ready",
            source="microphone",
            payload_format="flac",
            software="test",
            started_at=at,
            report=SensorReport(at=at, waiting=0, spool=0.0, dropped=0),
        )
        list(self.hub.process(self.hub.prepare([(STATES, encode_json(state))], [0.0])))

    def run(self, connected_from: int) -> Sequence[StoredEvent]:
        """Return the archive's events in its order, the oldest first."""
        self.connected_from = connected_from
        self.capture.run(threading.Event())
        assert self.publisher.drained
        self.spool.close()
        return EventQueries(self.archive).events(EventFilter(), limit=2 * CLIPS).events[::-1]


@pytest.fixture
def kept(embedded: Servers) -> Iterator[EventStore]:
    opened = EventStore(embedded.redis_url)
    opened.client.flushall()
    yield opened
    opened.close()


OK, NOT, UNKNOWN = "synchronised", "unsynchronised", "unknown"


@pytest.mark.parametrize(
    ("scenario", "connected_from", "expected"),
    [
        pytest.param(AHEAD, 0, (OK, OK, OK), id="a day ahead, connected"),
        pytest.param(AHEAD, CLIPS - 1, (OK, OK, OK), id="a day ahead, in an outage"),
        pytest.param(BEHIND, 0, (OK, OK, OK), id="a day behind, connected"),
        pytest.param(BEHIND, CLIPS - 1, (OK, OK, OK), id="a day behind, in an outage"),
        pytest.param(NEVER_SET, 0, (NOT, OK, OK), id="1970, connected"),
        pytest.param(NEVER_SET, CLIPS - 1, (OK, OK, OK), id="1970, in an outage"),
        pytest.param(SET_BY_HAND, CLIPS - 1, (NOT, NOT, NOT), id="1970, set by hand, in an outage"),
        pytest.param(AHEAD_ALONE, 0, (UNKNOWN, NOT, NOT), id="a day ahead, never synchronised, connected"),
        pytest.param(BEHIND_ALONE, 0, (UNKNOWN, NOT, NOT), id="a day behind, never synchronised, connected"),
    ],
)
def test_every_clip_is_archived_once_in_order_of_capture_with_the_status_of_its_clock(
    scenario: Scenario,
    connected_from: int,
    expected: tuple[str, str, str],
    memory_folder: Path,
    kept: EventStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = Day(scenario, memory_folder, kept)
    monkeypatch.setattr("edge.clock.kernel_clock_status", lambda: day.microphone.status)
    archived = day.run(connected_from)
    assert [event.id.seq for event in archived] == list(range(CLIPS))
    assert [event.clock for event in archived] == [expected[3 * number // CLIPS] for number in range(CLIPS)]
    for number, event in enumerate(archived):
        assert abs(event.captured_at - NOON - number * STEP) < timedelta(seconds=5)
    assert day.capture.tally.clock_jumps == sum(before != now for before, now in pairwise(scenario.errors))
