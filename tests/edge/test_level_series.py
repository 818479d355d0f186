"""A sensor's level series: what goes in the spool in each mode, and what a refusal by the broker stops."""

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.capture import Capture
from edge.extractor import open_extractor
from edge.publisher import SpoolPublisher
from edge.refused_series import REST_S
from edge.selection import HOUR_S, ByteBudget
from edge.settings import EdgeSettings
from edge.sources import AudioClip, SourceItem
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.errors import InvalidError, UnavailableError
from shared.level_bands import band_levels
from shared.level_series import LevelSeries, decode_series
from shared.levels.meter import LevelMeter
from shared.messages.event import decode_event
from shared.mqtt.session import Acknowledged, Connected
from shared.settings import load_settings

RATE_HZ = 8_000
START = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
EVENT, LEVELS = "earwitness/v1/demo/sensor-1/event", "earwitness/v1/demo/sensor-1/levels"
SUCCESS, UNWATCHED, NOT_AUTHORISED = 0x00, 0x10, 0x87


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "s.db", 10**8)
    yield made
    made.close()


class Microphone:
    """Delivers noise without gaps; an exception among the clips is raised."""

    live, payload_format, description = True, "flac", "a microphone"
    began = START

    def __init__(self, clips: int, fails_at: int | None = None) -> None:
        rng = np.random.default_rng(0)
        self.waveforms = [rng.normal(0, 0.01 * (1 + n), 10 * RATE_HZ).astype(np.float32) for n in range(clips)]
        self._left = list(enumerate(self.waveforms))
        self._fails_at = fails_at

    def clips(self, stop: threading.Event) -> Iterator[SourceItem]:
        assert not stop.is_set()
        while self._left:
            if self._left[0][0] == self._fails_at:
                self._fails_at = None
                raise UnavailableError("it was removed")
            number, waveform = self._left.pop(0)
            yield AudioClip(waveform, RATE_HZ, self.began + timedelta(seconds=10 * number), continues=number > 0)


class Unhurried(threading.Event):
    """A stop that no wait waits for."""

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is None or timeout >= 0
        return False


class Running:
    """A clock of running time."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


def captured(spool: Spool, *overrides: str, source: Microphone | None = None) -> Capture:
    settings = load_settings(EdgeSettings, None, overrides)
    capture = Capture(
        settings, source or Microphone(6), Destination(spool, lambda: None), "b", open_extractor(settings)
    )
    capture.run(Unhurried())
    return capture


def series(spool: Spool) -> list[LevelSeries]:
    return [decode_series(entry.payload) for entry in spool.peek(100) if entry.topic == LEVELS]


def test_every_second_is_in_the_spool_as_the_meter_measured_it(spool: Spool) -> None:
    source = Microphone(6)
    captured(spool, "levels.full_scale_db_spl=120", source=source)
    made = series(spool)
    assert [(one.captured_at, len(one.tenths)) for one in made] == [(START, 30), (START + timedelta(seconds=30), 30)]
    meter = LevelMeter(RATE_HZ, 120.0)
    expected = [second for waveform in source.waveforms for second in meter.measure(waveform).seconds]
    found = np.concatenate([one.tenths for one in made]) / 10.0
    assert np.abs(found - [[one.laeq, one.lafmax, one.lceq] for one in expected]).max() <= 0.05 + 1e-9
    assert {one.unit for one in made} == {"dB"}


def test_the_bands_of_every_second_are_sent_if_they_are_wanted(spool: Spool) -> None:
    source = Microphone(3)
    captured(spool, "levels.bands=true", "levels.full_scale_db_spl=120", source=source)
    made = [band_levels(one.bands) for one in series(spool) if one.bands is not None]
    meter = LevelMeter(RATE_HZ, 120.0)
    expected = np.array([second.bands for waveform in source.waveforms for second in meter.measure(waveform).seconds])
    assert np.abs(np.concatenate(made)[:, : expected.shape[1]] - expected).max() <= 0.25 + 1e-9


@pytest.mark.parametrize("what", ["events", "embeddings", "levels"])
def test_the_series_is_sent_in_every_mode(spool: Spool, what: str) -> None:
    captured(spool, f"send.what={what}")
    assert sum(len(one.tenths) for one in series(spool)) == 60


def test_a_replay_that_runs_ahead_of_the_clock_sends_no_seconds_of_a_time_to_come(spool: Spool) -> None:
    source = Microphone(12)
    source.live = False
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)
    source.began = began
    capture = captured(spool, source=source)
    ends = [one.captured_at + timedelta(seconds=len(one.tenths)) for one in series(spool)]
    assert ends
    assert max(ends) <= datetime.now(UTC) + timedelta(seconds=2)
    assert capture.tally.level_seconds_dropped == 120 - sum(len(one.tenths) for one in series(spool)) > 0


def test_in_the_mode_levels_nothing_else_is_written_to_the_disk(spool: Spool, tmp_path: Path) -> None:
    capture = captured(spool, "send.what=levels")
    assert {entry.topic for entry in spool.peek(100)} == {LEVELS}
    assert (capture.tally.captured, capture.tally.highest_seq, capture.tally.unreadable) == (0, -1, 0)
    assert b"fLaC" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert spool.note("newest") is None, "the note is of events"


def test_without_the_setting_no_series_is_sent(spool: Spool) -> None:
    captured(spool, "levels.series=false")
    assert series(spool) == []


@pytest.mark.parametrize("other", ["levels.series=false", "source.kind=embeddings"])
def test_a_mode_that_would_send_nothing_is_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(InvalidError, match=r"send\.what = levels needs"):
        load_settings(EdgeSettings, None, ["send.what=levels", other, f"source.path={tmp_path}"])


def test_a_source_that_fails_leaves_no_seconds_in_memory(spool: Spool) -> None:
    captured(spool, "send.what=levels", source=Microphone(4, fails_at=2))
    assert [(one.captured_at.second, len(one.tenths)) for one in series(spool)] == [(30, 20), (50, 10), (0, 10)]


def test_what_does_not_fit_the_budget_is_left_out() -> None:
    budget = ByteBudget(10_000, None, now_s=0.0)
    assert [budget.fit_levels(b"x" * 1_000, 1.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert budget.fit_levels(b"x" * 1_000, HOUR_S), "the next hour has a budget of its own"


def test_a_full_spool_sheds_the_oldest_seconds_and_counts_them(tmp_path: Path) -> None:
    small = Spool(tmp_path / "small.db", 700)
    capture = captured(small, "send.what=levels")
    assert [(one.captured_at, len(one.tenths)) for one in series(small)] == [(START + timedelta(seconds=30), 30)]
    assert small.level_seconds_shed == 30
    assert (capture.tally.level_seconds_dropped, capture.tally.dropped, small.shed_ranges()) == (0, 0, ())
    small.close()


def test_seconds_that_an_empty_spool_cannot_hold_are_counted(tmp_path: Path) -> None:
    tiny = Spool(tmp_path / "tiny.db", 300)
    assert captured(tiny, "send.what=levels").tally.level_seconds_dropped == 60
    assert (tiny.pending(), tiny.level_seconds_shed) == (0, 0)
    tiny.close()


def test_seconds_that_are_too_old_are_deleted_and_counted(tmp_path: Path) -> None:
    now = Running()
    aged = Spool(tmp_path / "aged.db", 10**8, clock=now)
    captured(aged)
    now.s = 100.0
    assert aged.expire(50.0) == 6
    assert (series(aged), aged.level_seconds_shed) == ([], 60)
    assert [one.events for one in aged.shed_ranges()] == [6], "a series is no event"
    aged.close()


class Broker:
    """A broker in memory that refuses messages on a topic with a reason."""

    def __init__(self, refuses: dict[str, int]) -> None:
        self.refuses = refuses
        self.under_way: dict[int, tuple[str, str | None]] = {}
        self.taken: list[str] = []
        self.payloads: list[bytes] = []
        self._mids = itertools.count(1)

    def rival(self) -> None:
        """No other client is here."""

    def settled(self) -> None:
        """The owner waits less after a disconnection."""

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert topic_filter.endswith("/intake")
        assert qos == 0

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (bool(payload), retain, qos) == (True, False, 1)
        assert content_type == ("application/json" if topic == LEVELS else "application/cbor")
        self.payloads.append(payload)
        mid = next(self._mids)
        self.under_way[mid] = (topic, content_type)
        return mid

    def answers(self) -> list[Acknowledged]:
        made = []
        for mid, (topic, _) in self.under_way.items():
            reason = self.refuses.get(topic, SUCCESS)
            if reason == SUCCESS:
                self.taken.append(topic)
            made.append(Acknowledged(mid, reason, 1))
        self.under_way.clear()
        return made


def exchanged(publisher: SpoolPublisher, broker: Broker, now_s: float) -> None:
    """Send and answer until nothing more is sent at this time."""
    while publisher.publish_pending(now_s):
        publisher.handle(list(broker.answers()), now_s, now_s)


def test_a_live_series_is_sent_before_the_backlog_which_holds_series_too(spool: Spool) -> None:
    broker = Broker({})
    publisher = SpoolPublisher(broker, spool, resend_window_s=0.0, patience_s=60.0)
    captured(spool)
    waiting = [entry.payload for entry in spool.peek(100) if entry.topic == LEVELS]
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    spool.put("live", LEVELS, b"live series", content="levels", newest=False)
    exchanged(publisher, broker, 0.0)
    assert broker.payloads[0] == b"live series"
    sent = broker.payloads[1:]
    assert [payload for payload in sent if payload in waiting] == waiting, "a series of the backlog is sent as it was"
    assert [decode_event(payload).backlog for payload in sent if payload not in waiting] == [True] * 6


@pytest.mark.parametrize("reason", [UNWATCHED, NOT_AUTHORISED])
def test_series_that_are_refused_wait_and_events_go_on(spool: Spool, reason: int) -> None:
    broker = Broker({LEVELS: reason})
    publisher = SpoolPublisher(broker, spool, resend_window_s=0.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for number in range(40):
        spool.put(f"l{number}", LEVELS, b"series", content="levels", newest=False)
    for number in range(40):
        spool.put(f"e{number}", EVENT, b"event")
    exchanged(publisher, broker, 0.0)
    assert (broker.taken, publisher.published) == ([EVENT] * 40, 40)
    assert (spool.pending(), publisher.drained) == (40, True)
    exchanged(publisher, broker, REST_S - 1.0)
    broker.refuses = {}
    exchanged(publisher, broker, REST_S + 1.0)
    assert broker.taken == [EVENT] * 40 + [LEVELS] * 40
    assert (spool.pending(), publisher.drained, publisher.published) == (0, True, 40)
