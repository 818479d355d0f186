"""Geometry of drawings, and how sensors and texts are described."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest

from hub.domain.records import Sensor, StoredReport
from hub.domain.sensor_map import distance_m
from hub.domain.sensor_status import SILENT_AFTER, sensor_status
from hub.store.event_queries import LevelPoint
from hub.web.pages.rendering import attention_summary, format_duration, percent, with_category_labels
from hub.web.pages.settings import SettingRow, flat
from hub.web.svg import PLAN_WIDTH, STRIP, calendar, heat_class, plan, strip

NOON = datetime(2026, 6, 3, 12, tzinfo=UTC)


def test_a_strip_spans_its_box_and_steady_sound_is_a_flat_line() -> None:
    drawn = strip([LevelPoint(n * 10_000, -50.0) for n in range(5)])
    assert drawn is not None
    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    assert points[0][0] == 0.0
    assert points[-1][0] == STRIP[0]
    assert len({y for _, y in points}) == 1
    assert strip([LevelPoint(0, -50.0)]) is None


def test_the_plan_keeps_distances_and_north_is_up() -> None:
    positions = {"a/south": (53.545, 9.96), "a/north": (53.549, 9.96), "a/east": (53.545, 9.97)}
    drawn = plan(positions)
    assert drawn is not None
    south, north, east = (drawn.dots[name] for name in positions)
    assert north[1] < south[1]
    assert east[0] > south[0]
    per_m = drawn.scale / drawn.scale_m
    assert math.dist(south, east) / per_m == pytest.approx(distance_m((53.545, 9.96), (53.545, 9.97)), rel=0.01)
    assert all(0 <= x <= PLAN_WIDTH and 0 <= y <= drawn.height for x, y in drawn.dots.values())


def test_a_single_sensor_has_a_plan_and_none_has_none() -> None:
    alone = plan({"a/b": (0.0, 0.0)})
    assert alone is not None
    assert alone.dots["a/b"] == (PLAN_WIDTH / 2, alone.height / 2)
    assert plan({}) is None


def test_the_calendar_ends_today_and_has_a_row_a_weekday() -> None:
    observed = {date(2026, 6, 1), date(2026, 6, 2)}
    rows = calendar({date(2026, 6, 1): 2.0, date(2026, 6, 3): 1.0}, date(2026, 6, 3), 3, observed)
    assert [len(row) for row in rows] == [3] * 7
    assert rows[0][2] is not None
    assert rows[0][2].hours == 2.0
    assert rows[0][2].shade == "heat-5"
    assert rows[3][2] is None
    assert [(row[2].hours, row[2].shade) for row in rows[1:3] if row[2]] == [(0.0, "heat-0"), (1.0, "heat-3")]
    assert rows[6][1] is not None
    assert (rows[6][1].hours, rows[6][1].shade) == (None, "unknown"), "the sensor did not exist yet"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, "unknown"), (math.nan, "unknown"), (0.0, "heat-0"), (0.01, "heat-1"), (0.5, "heat-5")],
)
def test_shades(share: float | None, expected: str) -> None:
    assert heat_class(share, 0.5) == expected


@pytest.mark.parametrize(
    ("state", "ago", "word"),
    [
        ("ready", timedelta(seconds=5), "online"),
        ("unknown", timedelta(seconds=5), "online"),
        ("ready", SILENT_AFTER + timedelta(seconds=1), "silent"),
        ("disconnected", timedelta(seconds=5), "stopped"),
        ("lost", timedelta(seconds=5), "lost"),
        ("ready", None, "silent"),
    ],
)
def test_a_sensor_in_one_word(state: str, ago: timedelta | None, word: str) -> None:
    last = None if ago is None else NOON - ago
    known = sensor_status(Sensor("a/b", 1, "", last, last, state, "boot"), NOON)
    assert known.word == word
    assert known.is_ok == (word == "online")


def test_a_silent_sensor_that_keeps_events_reports_it() -> None:
    report = StoredReport(at=NOON, waiting=1_200, spool=0.1, dropped=0, certificate_end=None)
    known = sensor_status(Sensor("a/b", 1, "", None, None, "ready", "boot", report), NOON)
    assert known.text.endswith("It keeps 1,200 events.")


def test_what_is_secret_is_never_shown() -> None:
    rows = flat({"ways": {"a": {"url": "**", "secret": None, "sites": ["x", "y"], "tls": True}}})
    assert rows == [
        SettingRow("ways.a.url", "set, not shown", shown=False),
        SettingRow("ways.a.secret", "not set", shown=False),
        SettingRow("ways.a.sites", "x, y"),
        SettingRow("ways.a.tls", "yes"),
    ]


def test_attention_in_words() -> None:
    assert attention_summary([0.1, 1.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0], 10.0) == (
        "The model paid most attention to 1 to 3 s, 8 to 9 s, the bright part of the bar below."
    )
    assert "spread" in attention_summary([1.0] * 10, 10.0)


def test_numbers_and_names_as_people_read_them() -> None:
    assert [format_duration(s) for s in (5, 600, 7_200, 864_000)] == ["5 s", "10 min", "2 h", "10 days"]
    assert percent(0.345) == "34\N{NO-BREAK SPACE}%"
    assert with_category_labels("If only one of them had contained non-machinery-impact: 95% would become 0%.") == (
        "If only one of them had contained other impact: 95\N{NO-BREAK SPACE}% would become 0\N{NO-BREAK SPACE}%."
    )
