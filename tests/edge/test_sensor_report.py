"""A sensor's report about itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.capture_stats import CaptureStats
from edge.publisher import SpoolPublisher
from edge.sensor_report import REASON_CHARACTERS, Announcer, Running, previous_event
from edge.settings import EdgeSettings
from edge.spool import Spool
from shared.events import EventId
from shared.messages.codec import decode_json, encode_json
from shared.messages.sensor import SensorReport, StateMessage
from shared.mqtt.session import Connected, Disconnected, MqttEvent
from tests.edge.test_publisher import Broker


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    spool = Spool(tmp_path / "s.db", 1_000)
    yield Running(CaptureStats(), spool, SpoolPublisher(Broker(), spool, resend_window_s=60.0, patience_s=60.0))
    spool.close()


def report(running: Running, previous: EventId | None = None) -> SensorReport:
    announcer = Announcer(EdgeSettings(), "now", form="flac", certificate_end=None, previous=previous)
    reported = decode_json(StateMessage, encode_json(announcer.state("ready", running))).report
    assert reported is not None
    return reported


def test_the_last_will_has_no_report() -> None:
    announcer = Announcer(EdgeSettings(), "now", form="flac", certificate_end=None, previous=None)
    assert announcer.state("lost").report is None


def test_before_the_first_clip_there_is_no_number(running: Running) -> None:
    reported = report(running)
    assert (reported.first_seq, reported.highest_seq, reported.previous_boot, reported.previous_seq) == (
        None,
        None,
        None,
        None,
    )
    assert (reported.set_aside, reported.spool_lost, reported.taken_over, reported.source_failure) == (0, 0, 0, None)


def test_numbers_of_this_boot_and_of_the_one_before_are_reported(running: Running) -> None:
    running.tally.highest_seq = 41
    reported = report(running, EventId("demo", "corner", "before", 7))
    assert (reported.first_seq, reported.highest_seq, reported.previous_boot, reported.previous_seq) == (
        0,
        41,
        "before",
        7,
    )


def test_the_spool_knows_the_last_event_of_the_run_before_though_nothing_is_left_in_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", 1_000)
    assert previous_event(spool) is None
    for seq in range(3):
        spool.put(f"demo.corner.before.{seq}", "t", b"")
    spool.acknowledge([one.row for one in spool.peek(9)], 1.0)
    spool.purge(2.0)
    spool.close()
    spool = Spool(tmp_path / "s.db", 1_000)
    assert previous_event(spool) == EventId("demo", "corner", "before", 2)
    spool.close()


def test_what_is_wrong_is_reported(running: Running) -> None:
    running.spool.put("a", "t", b"abc")
    running.spool.set_aside(running.spool.peek(1)[0].row, "too large")
    taken_over: list[MqttEvent] = [Connected(session_present=True, epoch=1), Disconnected("taken over", 1, 0x8E)]
    running.publisher.handle([*taken_over, *taken_over], 0.0, 1e9)
    running.tally.failure = "x" * 1_000
    running.tally.gaps.delivered(0.0, 10.0, continues=True)
    running.tally.gaps.delivered(45.25, 10.0, continues=False)
    reported = report(running)
    assert (reported.set_aside, reported.waiting, reported.taken_over) == (1, 0, 2)
    assert reported.source_failure == "x" * REASON_CHARACTERS
    assert reported.capture_gap_s == 35.2
    assert running.spool.note("taken_over") == "2001-09-09T01:46:40+00:00"


def test_a_reason_that_is_no_text_is_reported_in_escapes(running: Running) -> None:
    running.tally.failure = "no input device \udcff\x1b[31m"
    assert report(running).source_failure == r"no input device \xff\x1b[31m"
