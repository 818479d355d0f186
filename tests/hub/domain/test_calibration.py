"""How old a calibration is, in words and in alerts."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from hub.domain.alert_rule import AlertRule, Evaluation
from hub.domain.alerts import build_alert
from hub.domain.calibration import describe_calibration
from hub.domain.match import Match
from hub.domain.records import StoredEvent
from shared.events import Calibration, Levels, LevelUnit
from shared.messages.alert import AlertMessage
from tests.factories import NOON, stored


@pytest.mark.parametrize(
    ("unit", "age_days", "words"),
    [
        ("dBFS", None, "never calibrated"),
        ("dB", None, "calibrated, date not known"),
        ("dB", 0.4, "calibrated less than a day before"),
        ("dB", 1.9, "calibrated 1 day before"),
        ("dB", 400.0, "calibrated 400 days before"),
    ],
)
def test_the_age_of_a_calibration_in_words(unit: LevelUnit, age_days: float | None, words: str) -> None:
    assert describe_calibration(unit, age_days) == words


def test_the_age_is_that_at_the_capture_and_unknown_if_a_clock_was_wrong() -> None:
    calibration = Calibration("2026-05-20-1f3c5a", NOON - timedelta(days=12, hours=12))
    assert calibration.age_days(NOON) == 12.5
    assert calibration.age_days(calibration.at) == 0.0
    assert calibration.age_days(calibration.at - timedelta(seconds=1)) is None


def flagged(event: StoredEvent) -> AlertMessage:
    match = Match(str(stored(1).id), "demo/street-1", 0, 7.0, 7.0, np.zeros((8, 3), dtype=np.float32))
    judged = Evaluation([], {"dog": 0.9}, [(match, 0.9)], above_ambient_db=None, recurring=False)
    alert = build_alert(event, judged, AlertRule(), {}, {})
    assert alert is not None
    return alert


def test_an_alert_carries_the_calibration_of_its_sensor() -> None:
    calibrated = replace(
        stored(),
        levels=Levels(70.0, 80.0, "dB"),
        calibration=Calibration("2026-05-20-1f3c5a", NOON - timedelta(days=12)),
    )
    alert = flagged(calibrated)
    assert (alert.calibration, alert.calibration_age_days) == ("2026-05-20-1f3c5a", 12.0)
    alert = flagged(stored())
    assert (alert.calibration, alert.calibration_age_days) == (None, None)
