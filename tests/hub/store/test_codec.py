"""Rows of the store as values and back."""

from dataclasses import asdict
from datetime import UTC, datetime

from hub.store.codec import report_fields, report_of
from shared.messages.sensor import SensorReport, ShedRange


def test_a_report_is_read_as_it_was_written() -> None:
    at = datetime(2026, 11, 2, 7, tzinfo=UTC)
    report = SensorReport(
        at=at,
        waiting=7,
        spool=0.25,
        dropped=2,
        certificate_end=at,
        set_aside=3,
        spool_lost=4,
        taken_over=5,
        source_failure="no such device",
        shed=(ShedRange(boot="b", content="sound", reason="full", first_seq=3, last_seq=9, events=5),),
        capture_gap_s=35.5,
    )
    row = {name.encode(): str(value).encode() for name, value in report_fields(report).items()}
    read = report_of(row)
    assert read is not None
    assert asdict(read) == {name: getattr(report, name) for name in asdict(read)}


def test_a_report_of_an_earlier_sensor_states_no_gap() -> None:
    report = SensorReport(at=datetime(2026, 11, 2, 7, tzinfo=UTC), waiting=0, spool=0.0, dropped=0)
    row = {name.encode(): str(value).encode() for name, value in report_fields(report).items()}
    for stored in (row, {name: value for name, value in row.items() if name != b"capture_gap_s"}):
        read = report_of(stored)
        assert read is not None
        assert read.capture_gap_s is None


def test_a_sensor_that_never_reported_has_no_report() -> None:
    assert report_of({}) is None
