"""The local clock of a period: each begin is that of the wall clock, on any day and in any time zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.domain.day_levels import bounds
from hub.store.period_queries import _local_s, step_s


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Europe/Berlin", date(2026, 3, 28)),
        ("Europe/Berlin", date(2026, 10, 24)),
        ("Pacific/Chatham", date(2026, 4, 4)),
        ("Australia/Lord_Howe", date(2026, 4, 4)),
        ("UTC", date(2026, 6, 1)),
    ],
)
def test_periods_begin_when_the_wall_clock_states_it(name: str, first: date) -> None:
    zone = ZoneInfo(name)
    edges = [bounds(first + timedelta(days=number), zone)[0] for number in range(3)]
    found = _local_s(edges, 60, zone)
    begin = datetime.combine(first, datetime.min.time()) + timedelta(hours=7)
    times = range(edges[0], edges[-1], 60)
    walls = [datetime.fromtimestamp(at_s, UTC).astimezone(zone).replace(tzinfo=None) for at_s in times]
    assert found == [round((wall - begin).total_seconds()) for wall in walls]
    assert found[0] == 0


@pytest.mark.parametrize(
    ("days", "length_s"), [(1, 60), (2, 60), (3, 3_600), (31, 3_600), (32, 86_400), (366, 86_400)]
)
def test_a_longer_period_is_drawn_in_longer_steps(days: int, length_s: int) -> None:
    assert step_s(days) == length_s
