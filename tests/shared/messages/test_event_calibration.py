"""Calibrations in messages: new sensors, old sensors, invalid values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cbor2
import pytest

from shared.errors import InvalidError
from shared.events import Calibration
from shared.messages.event import decode_event, encode_event
from tests.factories import NOON, event

CALIBRATED = replace(event(), calibration=Calibration("2026-05-20-1f3c5a", NOON - timedelta(days=12)))


def test_a_message_of_an_old_sensor_has_no_calibration() -> None:
    fields = cbor2.loads(encode_event(event()))
    assert "calibration" not in fields
    assert "calibrated_at" not in fields
    assert decode_event(encode_event(event())).calibration is None


def test_a_calibration_survives_the_wire() -> None:
    assert decode_event(encode_event(CALIBRATED)) == CALIBRATED


@pytest.mark.parametrize("missing", ["calibration", "calibrated_at"])
def test_a_calibration_without_id_or_date_is_invalid(missing: str) -> None:
    fields = cbor2.loads(encode_event(CALIBRATED))
    del fields[missing]
    with pytest.raises(InvalidError, match="calibration and calibrated_at must be given together"):
        decode_event(cbor2.dumps(fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calibration", "A b"),
        ("calibration", "x" * 64),
        ("calibrated_at", "soon"),
        ("calibrated_at", "2400-01-01T00:00:00Z"),
    ],
)
def test_an_invalid_calibration_is_invalid(field: str, value: str) -> None:
    fields = cbor2.loads(encode_event(CALIBRATED)) | {field: value}
    with pytest.raises(InvalidError):
        decode_event(cbor2.dumps(fields))


def test_a_calibration_needs_a_plausible_time() -> None:
    for at in (datetime(2026, 1, 1), datetime(1969, 1, 1, tzinfo=UTC)):  # noqa: DTZ001 - without a time zone
        with pytest.raises(InvalidError, match="calibration time"):
            Calibration("a", at)
