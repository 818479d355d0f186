"""An outage of six hours, faster than real time: a spool with a limit, real messages, and a line of 1 Mbyte/s."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.publisher import SpoolPublisher
from edge.spool import Spool
from shared.events import Embedding, Event, EventId, Flac, Levels
from shared.feature_space import EARWITNESS_SMALL
from shared.messages.event import decode_event, encode_event
from shared.messages.fields import Content
from shared.messages.sensor import ShedRange
from shared.mqtt.session import Acknowledged, Connected
from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN
from tests.edge.simulated_line import Line
from tests.edge.test_publisher import intake_message

CLIP_S = 10.0
STEP_S = 0.5
OUTAGE_S = 6 * 3_600.0
CLIPS = int(OUTAGE_S / CLIP_S)
SOUND = Flac(b"fLaC" + bytes(20_000))
EMBEDDING = Embedding(EARWITNESS_SMALL.id, np.zeros((EARWITNESS_SMALL.frames, EARWITNESS_SMALL.dimension), np.uint8))


def message(seq: int, content: Content = "sound") -> bytes:
    return encode_event(
        Event(
            id=EventId("site", "n", "boot", seq),
            captured_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=CLIP_S * seq),
            duration_s=CLIP_S,
            rate_hz=16_000,
            levels=Levels(-50.0, -40.0),
            body=EMBEDDING,
            sound=SOUND if content == "sound" else None,
        )
    )


SOUND_BYTES, FEATURE_BYTES = len(message(0)), len(message(0, "features"))


def put(spool: Spool, seq: int) -> int:
    return spool.put(f"site.n.boot.{seq}", "t", message(seq), evict=True, content="sound")


def delivered(line: Line) -> list[tuple[float, Event]]:
    """Return the events that arrived, each with its time; level series are JSON and left out."""
    return [(at_s, decode_event(payload)) for at_s, payload in line.delivered if not payload.startswith(b"{")]


def drain(spool: Spool, line: Line, first_live: int, live: int) -> None:
    """Connect after the outage, and capture `live` more clips while the backlog drains."""
    publisher = SpoolPublisher(line, spool, resend_window_s=60.0, patience_s=1e9)
    line.up, line.now_s, line.busy_until_s = True, OUTAGE_S, OUTAGE_S
    publisher.handle([Connected(session_present=True, epoch=1)], OUTAGE_S, OUTAGE_S)
    seq = first_live
    for step in itertools.count():
        now_s = OUTAGE_S + step * STEP_S
        if step * STEP_S % CLIP_S == 0.0 and seq < first_live + live:
            put(spool, seq)
            seq += 1
        publisher.handle(list(line.carry(now_s)), now_s, now_s)
        publisher.publish_pending(now_s)
        if now_s % 1.0 == 0.0:
            publisher.purge(now_s)
        if publisher.drained and seq == first_live + live:
            return


def check_live_clips(line: Line, first_live: int) -> None:
    waits = [
        at - (OUTAGE_S + CLIP_S * (e.id.seq - first_live)) for at, e in delivered(line) if e.id.seq >= first_live
    ]
    assert len(waits) > 0
    assert max(waits) <= 5.0
    for _, event in delivered(line):
        assert event.backlog == (event.id.seq < first_live)


def test_within_the_limit_nothing_is_lost_and_live_clips_arrive_within_five_seconds(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 2 * CLIPS * SOUND_BYTES)
    for seq in range(CLIPS):
        assert put(spool, seq) == 0
    line = Line(bytes_per_s=100_000.0, epoch=1)
    drain(spool, line, CLIPS, live=30)
    arrived = [event.id.seq for _, event in delivered(line)]
    assert sorted(arrived) == list(range(CLIPS + 30))
    assert all(event.sound is not None for _, event in delivered(line))
    backlog = [seq for seq in arrived if seq < CLIPS]
    assert backlog == sorted(backlog), "the backlog is sent in order of capture"
    check_live_clips(line, CLIPS)
    assert spool.shed_ranges() == ()
    spool.close()


def test_beyond_the_limit_the_oldest_sound_is_shed_first_and_counted_by_range(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", CLIPS * FEATURE_BYTES + 500 * SOUND_BYTES)
    assert [put(spool, seq) for seq in range(CLIPS)] == [0] * CLIPS, "no event is deleted"
    (shed,) = spool.shed_ranges()
    assert (shed.boot, shed.content, shed.reason, shed.first_seq) == ("boot", "sound", "full", 0)
    assert shed.events == shed.last_seq + 1
    line = Line(bytes_per_s=100_000.0, epoch=1)
    drain(spool, line, CLIPS, live=30)
    (shed,) = spool.shed_ranges()  # live clips shed more of the backlog
    by_seq = {event.id.seq: event for _, event in delivered(line)}
    assert sorted(by_seq) == list(range(CLIPS + 30))
    assert [seq for seq, event in by_seq.items() if seq < CLIPS and event.sound is None] == list(range(shed.events))
    assert shed.events <= CLIPS - 500
    check_live_clips(line, CLIPS)
    spool.close()


def test_then_features_are_shed_and_what_arrives_and_what_is_counted_are_all(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 1_000 * FEATURE_BYTES)
    deleted = sum(put(spool, seq) for seq in range(CLIPS))
    ranges = {shed.content: shed for shed in spool.shed_ranges()}
    assert ranges["features"] == ShedRange(
        boot="boot", content="features", reason="full", first_seq=0, last_seq=deleted - 1, events=deleted
    )
    line = Line(bytes_per_s=100_000.0, epoch=1)
    drain(spool, line, CLIPS, live=0)
    assert [event.id.seq for _, event in delivered(line)] == list(range(deleted, CLIPS))
    spool.close()


def test_levels_are_shed_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", 10 * FEATURE_BYTES)
    spool.put("site.n.boot.0", "levels", bytes(FEATURE_BYTES), evict=True, content="levels")
    for seq in range(1, 30):
        put(spool, seq)
    assert spool.peek(1)[0].topic == "levels"
    for seq in range(30, 60):
        spool.put(f"site.n.boot.{seq}", "levels", bytes(FEATURE_BYTES), evict=True, content="levels")
    assert {entry.topic for entry in spool.peek(60)} == {"levels"}
    assert [shed.content for shed in spool.shed_ranges()][-1] == "levels"
    spool.close()


@pytest.mark.parametrize("cause", ["no hub takes events", "the broker refuses"])
def test_what_waited_while_nothing_was_taken_is_backlog_too(memory_folder: Path, cause: str) -> None:
    spool, line = Spool(memory_folder / "s.db", 10**8), Line(bytes_per_s=100_000.0, up=True, epoch=1)
    publisher = SpoolPublisher(line, spool, resend_window_s=0.0, patience_s=0.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    if cause == "no hub takes events":
        publisher.handle([intake_message("one", INTAKE_CLOSED)], 0.0, 0.0)
    for seq in range(20):
        put(spool, seq)
        if publisher.publish_pending(10.0 * seq):
            publisher.handle([Acknowledged(mid, 0x97, 1) for mid, _, _ in line.queue], 10.0 * seq, 0.0)
            line.queue.clear()
    publisher.handle([intake_message("one", INTAKE_OPEN)], 200.0, 200.0)
    line.busy_until_s = 200.0
    for step in range(40):
        now_s = 200.0 + STEP_S * step
        if step == 4:
            put(spool, 20)
        publisher.handle(list(line.carry(now_s)), now_s, now_s)
        publisher.publish_pending(now_s)
    order = [event.id.seq for _, event in delivered(line)]
    assert sorted(order) == list(range(21))
    assert order[-1] < 20, "the live event did not wait for all others"
    assert sum(event.backlog for _, event in delivered(line)) >= 18
    spool.close()


def test_age_counts_the_time_for_which_the_sensor_ran(tmp_path: Path) -> None:
    now_s = [0.0]
    spool = Spool(tmp_path / "s.db", 10**8, clock=lambda: now_s[0])
    put(spool, 0)
    now_s[0] = 5_000.0
    put(spool, 1)
    spool.close()
    now_s[0] = -1e6  # another boot of the machine
    again = Spool(tmp_path / "s.db", 10**8, clock=lambda: now_s[0])
    publisher = SpoolPublisher(Line(bytes_per_s=1.0), again, resend_window_s=60.0, patience_s=60.0)
    assert publisher.expire(6_000.0, 0.0) == 0
    now_s[0] += 1_500.0
    assert publisher.expire(6_000.0, 0.0) == 1
    assert [entry.event for entry in again.peek(5)] == ["site.n.boot.1"]
    (shed,) = again.shed_ranges()
    assert (shed.reason, shed.first_seq, shed.last_seq, shed.events) == ("age", 0, 0, 1)
    assert again.pending() == 1
    again.close()


def test_a_spool_of_an_earlier_version_is_taken_for_audio(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", 10**8)
    put(spool, 0)
    spool._do(lambda db: db.execute("DELETE FROM content").fetchall())
    spool.close()
    again = Spool(tmp_path / "s.db", 10**8)
    again._max_bytes = SOUND_BYTES + FEATURE_BYTES
    put(again, 1)
    assert [decode_event(entry.payload).sound is None for entry in again.peek(5)] == [True, False]
    again.close()
