"""Judgements of levels in every store: late series correct them, repeats and other hubs change nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.domain.exceedances import Exceedance
from hub.domain.level_rows import codes_of, packed, summarised
from hub.domain.limits import LimitRule
from hub.store import level_keys
from hub.store.event_queries import Cursor
from hub.store.events import EventStore
from hub.store.exceedances import ExceedanceFilter, ExceedanceStore, JudgedCounts
from hub.store.level_erasure import LevelErasure
from hub.store.level_statistics import DAY_S, LevelStatistics
from hub.store.levels import LevelStore
from hub.store.limit_judge import LimitJudge
from shared.events import LevelUnit
from shared.level_series import LevelSeries
from tests.factories import NOON, limit_rule

pytestmark = pytest.mark.redis

PLACE = "demo/street-1"
UTC_ZONE = ZoneInfo("UTC")
NOON_S = int(NOON.timestamp())
HOUR = timedelta(hours=1)
HOURLY = limit_rule(name="hourly", limit_db=55.0)


def add(
    archive: EventStore,
    level: float,
    at: datetime = NOON,
    *,
    length_s: int = 3_600,
    unit: LevelUnit = "dB",
    sensor: str = "street-1",
) -> None:
    """Store a series and the statistics of its hour."""
    tenths = np.tile(np.array([10 * level, 10 * level + 100, 10 * level], dtype=np.int16), (length_s, 1))
    series = LevelSeries("demo", sensor, "boot", at, tenths, unit)
    LevelStore(archive.client, archive.rows).add_many([series], at)
    LevelStatistics(archive.client, archive.rows).update(int(at.timestamp()) + DAY_S)


def judge(archive: EventStore, *rules: LimitRule) -> LimitJudge:
    found = judge_without_adoption(archive, *rules)
    found.adopt()
    return found


def judge_without_adoption(archive: EventStore, *rules: LimitRule) -> LimitJudge:
    return LimitJudge(archive.client, archive.rows, rules, UTC_ZONE)


def listed(archive: EventStore, **wanted: Any) -> list[Exceedance]:
    return ExceedanceStore(archive.client, archive.rows).page(ExceedanceFilter(**wanted), limit=100)[0]


def counted(archive: EventStore, rule: str = "hourly", place: str = PLACE) -> JudgedCounts:
    store = ExceedanceStore(archive.client, archive.rows)
    return store.counts([rule], [place], NOON_S - DAY_S, NOON_S + DAY_S)[rule, place]


def contents(archive: EventStore) -> dict[bytes, Any]:
    """All results in the store."""
    client = archive.client
    found = {key: client.get(key) for key in client.keys(level_keys.limit_counts("*", "*", "*"))}
    return {
        **found,
        b"rows": client.hgetall(level_keys.EXCEEDANCE_ROWS),
        b"ids": client.zrange(level_keys.EXCEEDANCES, 0, -1),
    }


def test_an_hour_above_a_limit_is_listed_once_and_a_repeat_changes_nothing(archive: EventStore) -> None:
    add(archive, 60.0)
    add(archive, 50.0, NOON + HOUR)
    hub = judge(archive, HOURLY)
    assert hub.judge(NOON_S + DAY_S) == (1, {"hourly": 1})
    (one,) = listed(archive)
    assert (one.id, one.level, one.limit) == (f"hourly.demo.street-1.{NOON_S}", 60.0, 55.0)
    assert counted(archive) == JudgedCounts(judged=2, exceeded=1, uncalibrated=0)
    before = contents(archive)
    assert hub.judge(NOON_S + DAY_S) == (0, {})
    archive.client.zadd(level_keys.LIMIT_DAYS_DUE, {f"{PLACE}:{NOON_S // DAY_S}": 0})
    assert hub.judge(NOON_S + DAY_S) == (1, {})
    assert contents(archive) == before


def test_a_late_series_completes_corrects_and_withdraws_an_exceedance(archive: EventStore) -> None:
    hub = judge(archive, HOURLY)
    add(archive, 60.0, length_s=1_800)
    hub.judge(NOON_S + DAY_S)
    assert (listed(archive), counted(archive).judged) == ([], 0)
    add(archive, 70.0, NOON + HOUR / 2, length_s=900)
    hub.judge(NOON_S + DAY_S)
    assert [one.level for one in listed(archive)] == [66.0]
    add(archive, 40.0, NOON, length_s=3_000)
    hub.judge(NOON_S + DAY_S)
    assert listed(archive) == []
    assert counted(archive) == JudgedCounts(judged=1, exceeded=0, uncalibrated=0)
    assert archive.client.exists(level_keys.EXCEEDANCE_ROWS) == 0


def test_an_exceedance_of_an_erased_hour_is_withdrawn_and_others_stay(archive: EventStore) -> None:
    hub = judge(archive, HOURLY)
    for hour in (0, 1, 24):
        add(archive, 60.0, NOON + hour * HOUR)
    hub.judge(NOON_S + 2 * DAY_S)
    assert len(listed(archive)) == 3
    erasure = LevelErasure(archive.client)
    assert erasure.run(PLACE, NOON_S, NOON_S + 3_600) == 1
    assert hub.judge(NOON_S + 2 * DAY_S)[0] == 1
    assert sorted(one.start_s for one in listed(archive)) == [NOON_S + 3_600, NOON_S + DAY_S]
    erasure.run(PLACE, NOON_S + DAY_S, NOON_S + 2 * DAY_S)
    hub.judge(NOON_S + 2 * DAY_S)
    assert [one.start_s for one in listed(archive)] == [NOON_S + 3_600]


def test_levels_in_dbfs_never_exceed_a_limit_and_are_counted(archive: EventStore) -> None:
    add(archive, 60.0, unit="dBFS")
    judge(archive, HOURLY).judge(NOON_S + DAY_S)
    assert (listed(archive), counted(archive)) == ([], JudgedCounts(judged=0, exceeded=0, uncalibrated=1))


def test_a_night_is_judged_once_it_has_ended_although_its_last_hours_are_missing(archive: EventStore) -> None:
    rule = limit_rule(name="night", quantity="lnight", period="day")
    for hour in range(7):  # of eight, from 23:00
        add(archive, 60.0, NOON + (11 + hour) * HOUR)
    hub = judge(archive, rule)
    end_s = NOON_S + 19 * 3_600
    hub.judge(end_s + 299)
    assert listed(archive) == []
    assert hub.judge(end_s + 299)[0] == 0
    hub.judge(end_s + 300)
    (one,) = listed(archive)
    assert (one.start_s, one.end_s, one.level, one.valid) == (NOON_S + 11 * 3_600, end_s, 60.0, 0.875)


def test_a_year_is_judged_once_it_has_ended(archive: EventStore) -> None:
    first, end_s = datetime(2026, 1, 1, tzinfo=UTC), int(datetime(2027, 1, 1, 7, tzinfo=UTC).timestamp())
    add(archive, 60.0, first)
    day = int(first.timestamp()) // DAY_S
    hour = summarised(np.tile(codes_of(np.array([[600, 700, 600]], dtype=np.int16), "dB"), (3_600, 1)))
    whole = packed(np.concatenate([np.tile(hour[:1], (24, 1)), np.tile(hour[1:], (24, 1))]))
    archive.client.mset({level_keys.level_statistics(PLACE, day + number): whole for number in range(1, 300)})
    hub = judge(archive, limit_rule(name="year", quantity="lday", period="year"))
    hub.judge(end_s + 299)
    assert listed(archive) == []
    assert hub.judge(end_s + 300) == (1, {"year": 1})
    (one,) = listed(archive)
    assert (one.start_s, one.end_s, one.level, one.valid) == (day * DAY_S + 7 * 3_600, end_s, 60.0, 0.819)
    assert hub.judge(end_s + 300) == (0, {})


def test_a_changed_rule_judges_kept_levels_again_and_a_removed_one_has_no_results(archive: EventStore) -> None:
    add(archive, 60.0)
    judge(archive, HOURLY, limit_rule(name="other", limit_db=50.0)).judge(NOON_S + DAY_S)
    assert {one.rule for one in listed(archive)} == {"hourly", "other"}
    changed = limit_rule(name="hourly", limit_db=65.0)
    archive.client.hset(level_keys.LIMIT_RULES, "hourly", "")  # as a hub that was killed while it adopted that rule
    assert judge_without_adoption(archive, changed).judge(NOON_S + DAY_S) == (0, {})
    hub = judge(archive, changed)
    assert (listed(archive), counted(archive, "other").judged) == ([], 0)
    hub.judge(NOON_S + DAY_S)
    assert (listed(archive), counted(archive).judged) == ([], 1)
    judge(archive).judge(NOON_S)
    assert archive.client.keys(level_keys.limit_counts("*", "*", "*")) == []
    assert archive.client.exists(level_keys.LIMIT_RULES, level_keys.LIMIT_DAYS_DUE) == 0


def test_a_hub_with_other_rules_than_the_adopted_ones_judges_nothing(archive: EventStore) -> None:
    add(archive, 60.0)
    earlier = judge(archive, HOURLY)
    later = judge(archive, limit_rule(name="hourly", limit_db=65.0))
    assert earlier.judge(NOON_S + DAY_S) == (0, {})
    assert later.judge(NOON_S + DAY_S)[0] == 1
    assert listed(archive) == []


def test_exceedances_are_filtered_paged_and_expired(archive: EventStore) -> None:
    for number, sensor in enumerate(("street-1", "street-2", "street-2")):
        add(archive, 60.0, NOON + number * HOUR, sensor=sensor)
    hub = judge(archive, HOURLY, limit_rule(name="yard", places=("demo/street-2",), limit_db=59.0))
    assert hub.judge(NOON_S + DAY_S) == (2, {"hourly": 3, "yard": 2})
    assert [len(listed(archive, **wanted)) for wanted in (_OF_RULE, _OF_PLACE, _OF_SITE, _SINCE)] == [2, 1, 5, 2]
    store = ExceedanceStore(archive.client, archive.rows)
    pages, after = [], None
    while True:
        found, after = store.page(ExceedanceFilter(), limit=2, after=after)
        pages.append([one.id for one in found])
        if after is None:
            break
    assert pages == _in_twos([one.id for one in listed(archive)])
    assert hub.expire(NOON_S + 2 * 3_600) == 3
    assert {one.start_s for one in listed(archive)} == {NOON_S + 2 * 3_600}


_OF_RULE = {"rule": "yard"}
_OF_PLACE = {"place": PLACE}
_OF_SITE = {"site": "demo"}
_SINCE = {"since_ms": 1_000 * (NOON_S + 7_200)}


def _in_twos(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[at : at + 2]) for at in range(0, len(ids), 2)]


def test_damaged_rows_and_keys_stop_nothing(archive: EventStore) -> None:
    for number in range(3):
        add(archive, 60.0, NOON + number * HOUR)
    add(archive, 60.0, sensor="street-2")
    archive.client.delete(level_keys.level_statistics("demo/street-2", NOON_S // DAY_S))
    archive.client.lpush(level_keys.level_statistics("demo/street-2", NOON_S // DAY_S), "x")
    hub = judge(archive, HOURLY)
    archive.client.zadd(level_keys.LIMIT_DAYS_DUE, {b"\xff:1": NOON_S, "demo/street-1:x": NOON_S})
    hub.judge(NOON_S + DAY_S)
    first, second, third = (f"hourly.demo.street-1.{NOON_S + number * 3_600}" for number in range(3))
    archive.client.hset(level_keys.EXCEEDANCE_ROWS, mapping={first: "{}", second: '{"v": 1, "level": "loud"}'})
    archive.client.zadd(level_keys.EXCEEDANCES, {"nonsense": 1_000 * NOON_S})
    assert [one.id for one in listed(archive)] == [third]
    archive.client.delete(level_keys.limit_counts(PLACE, "hourly", 2026))
    archive.client.lpush(level_keys.limit_counts(PLACE, "hourly", 2026), "x")
    assert counted(archive) == JudgedCounts(0, 0, 0)
    store = ExceedanceStore(archive.client, archive.rows)
    assert store.hours("hourly", PLACE, NOON_S, NOON_S + 3_600).tolist() == [[0, 0, 0]]
    assert hub.judge(NOON_S + DAY_S)[0] == 0, "the damaged day waits"
    archive.client.delete(level_keys.EXCEEDANCES, level_keys.LEVEL_DAYS)
    archive.client.mset({level_keys.EXCEEDANCES: "x", level_keys.LEVEL_DAYS: "x"})
    assert listed(archive) == []
    judge(archive, limit_rule(name="new"))


def test_counts_are_read_across_years(archive: EventStore) -> None:
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    for hour in (-1, 0):
        add(archive, 60.0, midnight + hour * HOUR)
    judge(archive, HOURLY).judge(int(midnight.timestamp()) + DAY_S)
    store = ExceedanceStore(archive.client, archive.rows)
    begin_s = int(midnight.timestamp()) - 2 * 3_600
    assert store.hours("hourly", PLACE, begin_s, begin_s + 4 * 3_600)[:, 1].tolist() == [0, 1, 1, 0]
    assert store.counts(["hourly"], [PLACE], begin_s, begin_s + 4 * 3_600)["hourly", PLACE].exceeded == 2
    assert store.page(ExceedanceFilter(), limit=1, after=Cursor(0, ""))[0] == []
