"""Judge the statistics of levels by limits, and store counts and exceedances.

1. The writer of a day's statistics marks `<place>:<day>` as due, in the same transaction. `judge` judges all periods
   of a due day, writes the results by their ids, and removes the mark. So a late series corrects or withdraws an
   exceedance, and a repeat changes nothing.
2. A transaction watches the statistics and the rules that it read. If another hub changed them, it writes nothing,
   and the day stays due.
3. The mark of a day with a period that has not ended stays, for five minutes after its end: by then its last series
   has come, and is part of the statistics.
4. `adopt` removes the results of rules that changed or are gone, and marks all days. A hub whose rules differ from
   the adopted ones judges nothing.
5. Counts are three bytes for each hour of a year: the numbers of periods that were judged, that exceeded the limit,
   and that are in dBFS, at the hour in which the periods begin.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import redis

from hub.domain.exceedances import (
    DAY_S,
    Exceedance,
    Judgement,
    days_of,
    exceedance_id,
    judge_day,
    judge_hours,
    judge_year,
)
from hub.domain.level_rows import HOUR_S, Codes
from hub.domain.limits import LimitRule, year_bounds
from hub.store import keys, level_keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.day_level_queries import DayLevelQueries
from hub.store.json_rows import encode
from hub.store.level_statistics import LevelStatistics, day_codes
from hub.store.rows import Rows

log = logging.getLogger(__name__)

COUNT_BYTES: Final = 3
AT_ONCE: Final = 200
"""Days that one call judges; then its worker may stop."""
_SETTLED_S: Final = 300
_AGAIN_S: Final = 3_600
"""After this time, in seconds, a day with a damaged key is judged again."""
_REMOVED_AT_ONCE: Final = 1_000


class LimitJudge:
    """Judges levels by rules; safe to use from several hubs at once.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
        rules: the rules.
        zone: time zone of the sites.
    """

    def __init__(self, client: Any, rows: Rows, rules: Sequence[LimitRule], zone: ZoneInfo) -> None:  # noqa: ANN401
        self._redis = client
        self._rows = rows
        self._rules = {rule.name: rule for rule in rules}
        self._zone = zone
        self._digests = {rule.name.encode(): rule.digest(zone).encode() for rule in rules}
        self._days = DayLevelQueries(LevelStatistics(client, rows), zone)

    @raises_unavailable
    def adopt(self) -> None:
        """Judge by these rules from now on; those that changed judge all kept levels again.

        Raises:
            UnavailableError: the store does not answer; to repeat the call is safe.
        """
        known = self._redis.hgetall(level_keys.LIMIT_RULES)
        if known == self._digests:
            return
        differing = {name for name in {*known, *self._digests} if known.get(name) != self._digests.get(name)}
        # From here on no hub judges, also after a crash, until the new digests are complete.
        self._redis.hset(level_keys.LIMIT_RULES, mapping=dict.fromkeys(differing, b""))
        changed = {name.decode() for name in differing & known.keys()}
        if changed:
            self._unless_damaged(level_keys.EXCEEDANCES, lambda: self._remove(changed))
        if self._digests:
            self._unless_damaged(
                level_keys.LEVEL_DAYS,
                lambda: self._redis.zunionstore(level_keys.LIMIT_DAYS_DUE, [level_keys.LEVEL_DAYS]),
            )
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(level_keys.LIMIT_RULES)
            if self._digests:
                pipe.hset(level_keys.LIMIT_RULES, mapping=self._digests)
            pipe.execute()
        log.info("limits adopted", extra={"rules": len(self._rules), "removed": sorted(changed)})

    @raises_unavailable
    def judge(self, now_s: int) -> tuple[int, Counter[str]]:
        """Judge days and years that are due, the newest first.

        Args:
            now_s: the time, in seconds since 1970 UTC.

        Returns:
            The number of those that were due, at most 200 of each; the new exceedances of the last two days, by rule.

        Raises:
            UnavailableError: the store did not answer or is full; to repeat the call is safe.
        """
        new: Counter[str] = Counter()
        due = 0
        if not self._adopted(self._redis):
            log.warning("another hub judges by other limits: give all hubs the same rules, and restart this hub")
            return due, new
        if not self._rules:  # the marks would grow for ever
            self._redis.delete(level_keys.LIMIT_DAYS_DUE, level_keys.LIMIT_YEARS_DUE)
            return due, new
        for key, judge in (
            (level_keys.LIMIT_DAYS_DUE, self._judge_day),
            (level_keys.LIMIT_YEARS_DUE, self._judge_year),
        ):
            for member in self._redis.zrevrangebyscore(key, now_s, "-inf", start=0, num=AT_ONCE):
                due += 1
                named = self._rows.read("limits", repr(member), _named, member)
                try:
                    found = None if named is None else judge(*named, now_s)
                except redis.WatchError:
                    continue
                except redis.ResponseError as error:
                    if not is_damage(error):
                        raise
                    self._rows.leave_out("limits", repr(member), error)
                    found = None
                if found is None:
                    self._redis.zadd(key, {member: now_s + _AGAIN_S})
                else:
                    new.update(one.rule for one in found if one.end_s > now_s - 2 * DAY_S)
        return due, new

    @raises_unavailable
    def expire(self, before_s: int) -> int:
        """Remove the exceedances of periods that began before a time, and the counts of the years before it.

        Raises:
            UnavailableError: the store did not answer; to repeat the call is safe.
        """
        removed = 0
        while old := self._redis.zrangebyscore(
            level_keys.EXCEEDANCES, "-inf", f"({1_000 * before_s}", 0, _REMOVED_AT_ONCE
        ):
            self._remove_ids(old)
            removed += len(old)
        year = datetime.fromtimestamp(before_s, UTC).year - 1
        places = [place.decode() for place in self._redis.smembers(keys.SENSORS)]
        if wanted := [level_keys.limit_counts(place, rule, year) for place in places for rule in self._rules]:
            self._redis.unlink(*wanted)
        return removed

    def _judge_day(self, place: str, day: int, now_s: int) -> list[Exceedance]:
        """Judge all periods of a day of UTC; return its new exceedances."""
        near = (day - 1, day, day + 1)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(level_keys.LIMIT_RULES, *(level_keys.level_statistics(place, one) for one in near))
            if not self._adopted(pipe):
                return []
            blocks = [self._codes(pipe, place, one) for one in near]
            results: dict[str, list[Judgement]] = {}
            ends: list[int] = []
            years = set()
            for rule in self._rules.values():
                if not rule.is_for(place):
                    continue
                own = results.setdefault(rule.name, [])
                if rule.period in ("minute", "hour"):
                    own += judge_hours(rule, place, day, blocks[1], self._zone)
                elif rule.period == "year":
                    at = datetime.fromtimestamp(day * DAY_S, self._zone)
                    years |= {at.year, date.fromordinal(at.toordinal() - 1).year}
                else:
                    for on, _, end_s in days_of(rule, day, self._zone):
                        if end_s + _SETTLED_S > now_s:
                            ends.append(end_s + _SETTLED_S)
                        else:
                            own.append(judge_day(rule, place, on, blocks, near[0], self._zone))
            pipe.multi()
            for year in years:
                pipe.zadd(
                    level_keys.LIMIT_YEARS_DUE, {f"{place}:{year}": year_bounds(year, self._zone)[1] + _SETTLED_S}
                )
            if ends:
                pipe.zadd(level_keys.LIMIT_DAYS_DUE, {f"{place}:{day}": min(ends)})
            else:
                pipe.zrem(level_keys.LIMIT_DAYS_DUE, f"{place}:{day}")
            return _written(pipe, place, results)

    def _judge_year(self, place: str, year: int, _now_s: int) -> list[Exceedance]:
        first, last = date(year, 1, 1), date(year, 12, 31)
        days = range(*(at_s // DAY_S for at_s in year_bounds(year, self._zone)))
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(
                level_keys.LIMIT_RULES, *(level_keys.level_statistics(place, day) for day in (*days, days.stop))
            )
            if not self._adopted(pipe):
                return []
            found = self._days.days([place], first, last)[place]
            results = {
                rule.name: [judge_year(rule, place, year, found.days if found.unit == "dB" else [], self._zone)]
                for rule in self._rules.values()
                if rule.period == "year" and rule.is_for(place)
            }
            pipe.multi()
            pipe.zrem(level_keys.LIMIT_YEARS_DUE, f"{place}:{year}")
            return _written(pipe, place, results)

    def _adopted(self, client: Any) -> bool:  # noqa: ANN401 - the client is untyped
        """Return whether this hub's rules are those by which the archive is judged."""
        return bool(client.hgetall(level_keys.LIMIT_RULES) == self._digests)

    def _codes(self, client: Any, place: str, day: int) -> Codes:  # noqa: ANN401 - the client is untyped
        raw = client.get(level_keys.level_statistics(place, day))
        codes = self._rows.read("level statistics", f"{place}:{day}", day_codes, raw)
        return day_codes(None) if codes is None else codes

    def _unless_damaged(self, key: str, work: Callable[[], object]) -> None:
        """Do some work; log and count a damaged key, which stays until a person removes it."""
        try:
            work()
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("limits", key, error)

    def _remove(self, rules: set[str]) -> None:
        """Remove the results of rules."""
        for rule in rules:
            for key in self._redis.scan_iter(match=level_keys.limit_counts("*", rule, "*"), count=_REMOVED_AT_ONCE):
                self._redis.unlink(key)
        names = {rule.encode() for rule in rules}
        found = [one for one, _ in self._redis.zscan_iter(level_keys.EXCEEDANCES, count=_REMOVED_AT_ONCE)]
        self._remove_ids([one for one in found if one.partition(b".")[0] in names])

    def _remove_ids(self, ids: Sequence[bytes]) -> None:
        if ids:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.zrem(level_keys.EXCEEDANCES, *ids)
                pipe.hdel(level_keys.EXCEEDANCE_ROWS, *ids)
                pipe.execute()


def _named(member: bytes) -> tuple[str, int]:
    """Return the place and the number of the day or year in a mark."""
    place, _, number = member.decode().rpartition(":")
    return place, int(number)


def _written(pipe: Any, place: str, results: Mapping[str, Sequence[Judgement]]) -> list[Exceedance]:  # noqa: ANN401
    """Write judgements; return the exceedances that are new.

    Raises:
        WatchError: what was read has changed; nothing is written.
    """
    before = len(pipe.command_stack)
    found = [one.exceedance for own in results.values() for one in own if one.exceedance is not None]
    for one in found:
        pipe.zadd(level_keys.EXCEEDANCES, {one.id: 1_000 * one.start_s})
    for one in found:
        pipe.hset(level_keys.EXCEEDANCE_ROWS, one.id, encode(asdict(one)))
    for rule, own in results.items():
        if none := [exceedance_id(rule, place, one.start_s) for one in own if one.exceedance is None]:
            pipe.zrem(level_keys.EXCEEDANCES, *none)
            pipe.hdel(level_keys.EXCEEDANCE_ROWS, *none)
        contiguous = bool(own) and own[-1].start_s - own[0].start_s == HOUR_S * (len(own) - 1)
        for run in [own] if contiguous else [[one] for one in own]:
            year, at = count_offset(run[0].start_s)
            counts = bytes(number for one in run for number in (one.judged, one.exceeded, one.uncalibrated))
            pipe.setrange(level_keys.limit_counts(place, rule, year), at, counts)
    answers = pipe.execute()
    return [one for one, is_new in zip(found, answers[before:], strict=False) if is_new]


def count_offset(at_s: int) -> tuple[int, int]:
    """Return the year of UTC of a time in seconds since 1970, and where the counts of its hour are, in bytes."""
    year = datetime.fromtimestamp(at_s, UTC).year
    begin_s = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    return year, (at_s - begin_s) // HOUR_S * COUNT_BYTES
