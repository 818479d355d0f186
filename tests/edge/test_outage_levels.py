"""An outage of six hours with the level series of every minute: no second is lost while there is sound to shed."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edge.publisher import SpoolPublisher
from edge.spool import Spool
from shared.events import Event, EventId, Flac, Levels
from shared.level_series import LevelSeries, decode_series, encode_series
from shared.messages.event import encode_event
from shared.mqtt.session import Connected
from tests.edge.simulated_line import Line
from tests.edge.test_outage import CLIPS, EMBEDDING, OUTAGE_S, STEP_S, check_live_clips, delivered

MINUTES = int(OUTAGE_S / 60.0)
LIVE_MINUTES = 3
PER_MINUTE = 6
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SOUND = Flac(b"fLaC" + bytes(300))
TOPIC = "earwitness/v1/site/n/levels"


def message(seq: int, sound: Flac | None = SOUND) -> bytes:
    at = BEGIN + timedelta(seconds=10 * seq)
    return encode_event(
        Event(EventId("site", "n", "boot", seq), at, 10.0, 16_000, Levels(-50.0, -40.0), EMBEDDING, sound=sound)
    )


FEATURE_BYTES = len(message(0, None))


def put(spool: Spool, seq: int) -> int:
    return spool.put(f"site.n.boot.{seq}", "t", message(seq), evict=True, content="sound")


def series(minute: int) -> LevelSeries:
    tenths = np.full((60, 3), minute, dtype=np.int16)
    return LevelSeries("site", "n", "boot", BEGIN + timedelta(minutes=minute), tenths)


def put_minute(spool: Spool, minute: int) -> int:
    """Put the clips of a minute and then their levels, as the capture loop does; return the deleted events."""
    deleted = sum(put(spool, PER_MINUTE * minute + n) for n in range(PER_MINUTE))
    return deleted + put_levels(spool, minute)


def put_levels(spool: Spool, minute: int) -> int:
    payload, name = encode_series(series(minute)), f"site.n.boot.levels-{minute}"
    return spool.put(name, TOPIC, payload, evict=True, content="levels", newest=False)


class LineWithLevels(Line):
    """Carries level series too."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        if topic != TOPIC:
            return super().publish(topic, payload, retain=retain, qos=qos, content_type=content_type)
        assert (retain, qos, content_type) == (False, 1, "application/json")
        return super().publish("t", payload, content_type="application/cbor")

    def levels(self) -> list[LevelSeries]:
        """Return the series that arrived."""
        return [decode_series(payload) for _, payload in self.delivered if payload.startswith(b"{")]


def drain(spool: Spool, line: LineWithLevels) -> None:
    """Connect after the outage, and capture live minutes while the backlog drains."""
    publisher = SpoolPublisher(line, spool, resend_window_s=0.0, patience_s=1e9)
    line.up, line.now_s, line.busy_until_s = True, OUTAGE_S, OUTAGE_S
    publisher.handle([Connected(session_present=True, epoch=1)], OUTAGE_S, OUTAGE_S)
    live = iter(range(CLIPS, CLIPS + LIVE_MINUTES * PER_MINUTE))
    for step in itertools.count():
        now_s = OUTAGE_S + step * STEP_S
        seq = next(live, None) if step * STEP_S % 10.0 == 0.0 else None
        if seq is not None:
            put(spool, seq)
            if (seq + 1) % PER_MINUTE == 0:
                put_levels(spool, seq // PER_MINUTE)
        publisher.handle(list(line.carry(now_s)), now_s, now_s)
        publisher.publish_pending(now_s)
        if publisher.drained and now_s > OUTAGE_S + LIVE_MINUTES * 60.0:
            return


def test_sound_and_embeddings_are_shed_before_any_second_of_levels(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 800 * FEATURE_BYTES)
    deleted = sum(put_minute(spool, minute) for minute in range(MINUTES))
    line = LineWithLevels(bytes_per_s=400_000.0, epoch=1)
    drain(spool, line)
    arrived = [one.captured_at for one in line.levels()]
    assert sorted(arrived) == [series(minute).captured_at for minute in range(MINUTES + LIVE_MINUTES)]
    assert all((one.tenths == (one.captured_at - BEGIN) // timedelta(minutes=1)).all() for one in line.levels())
    backlog = [at for at in arrived if at < series(MINUTES).captured_at]
    assert backlog == sorted(backlog), "the backlog is sent in order of capture"
    assert spool.level_seconds_shed == 0
    shed = {one.content: one for one in spool.shed_ranges()}
    assert set(shed) == {"sound", "features"}
    first, end = shed["features"].events, CLIPS + LIVE_MINUTES * PER_MINUTE
    assert first >= deleted > 0
    assert sorted(event.id.seq for _, event in delivered(line)) == list(range(first, end))
    assert sum(event.sound is None for _, event in delivered(line)) <= shed["sound"].events
    check_live_clips(line, CLIPS)
    spool.close()
