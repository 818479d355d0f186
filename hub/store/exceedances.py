"""Read exceedances of limits, newest first, and how many periods were judged. `hub.store.limit_judge` writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from pydantic import TypeAdapter

from hub.domain.exceedances import Exceedance
from hub.domain.level_rows import HOUR_S
from hub.store import level_keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.event_queries import Cursor
from hub.store.limit_judge import COUNT_BYTES, count_offset
from hub.store.rows import Rows

_AT_ONCE: Final = 1_000
LOOKED_AT: Final = 100_000
"""Most ids that one call reads; a page may be short and still have a next one."""
_ROW: Final = TypeAdapter(Exceedance)


@dataclass(frozen=True, slots=True)
class ExceedanceFilter:
    """A filter of exceedances; all pass by default.

    Attributes:
        rule: name of the rule.
        site: the site.
        place: `site/sensor`.
        since_ms: begin of the earliest period, ms since 1970 UTC.
        until_ms: begin of the last period, likewise.
    """

    rule: str | None = None
    site: str | None = None
    place: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, exceedance: str) -> bool:
        """Return whether the exceedance of an id passes, apart from its time."""
        rule, site, sensor, _ = exceedance.split(".")
        return self.rule in {None, rule} and self.site in {None, site} and self.place in {None, f"{site}/{sensor}"}


@dataclass(frozen=True, slots=True)
class JudgedCounts:
    """Numbers of periods of a rule at a sensor.

    Attributes:
        judged: those that were judged.
        exceeded: those of them above the limit.
        uncalibrated: those with levels in dBFS.
    """

    judged: int
    exceeded: int
    uncalibrated: int


class ExceedanceStore:
    """Reads exceedances; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def page(
        self, wanted: ExceedanceFilter, *, limit: int, after: Cursor | None = None
    ) -> tuple[list[Exceedance], Cursor | None]:
        """Return a page of exceedances, newest first, and the cursor of the next page.

        Raises:
            UnavailableError: the store does not answer.
        """
        chosen: list[str] = []
        last = None
        try:
            for number, cursor in enumerate(self._cursors(wanted, after)):
                if len(chosen) == limit or number == LOOKED_AT:
                    return self._read(chosen), last
                last = cursor
                if self._rows.read("exceedance", cursor.id, wanted.matches, cursor.id):
                    chosen.append(cursor.id)
            return self._read(chosen), None
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("exceedance", level_keys.EXCEEDANCES, error)
            return [], None

    @raises_unavailable
    def counts(
        self, rules: Sequence[str], places: Sequence[str], since_s: int, until_s: int
    ) -> dict[tuple[str, str], JudgedCounts]:
        """Return the numbers of periods that begin in an interval, by rule and place; one round trip.

        Args:
            rules: names of rules.
            places: each `site/sensor`.
            since_s: begin, a full hour in seconds since 1970 UTC.
            until_s: end, likewise.

        Raises:
            UnavailableError: the store does not answer.
        """
        parts = list(_parts(since_s, until_s))
        pairs = [(rule, place) for rule in rules for place in places]
        pipe = self._redis.pipeline(transaction=False)
        for rule, place in pairs:
            for year, first, end in parts:
                pipe.getrange(level_keys.limit_counts(place, rule, year), first, end - 1)
        answers = iter(pipe.execute(raise_on_error=False))
        found = {}
        for rule, place in pairs:
            total = np.zeros(COUNT_BYTES, dtype=np.int64)
            for year, *_ in parts:
                counted = self._rows.read("limit counts", f"{place}:{rule}:{year}", _summed, next(answers))
                total += 0 if counted is None else counted
            found[rule, place] = JudgedCounts(*total.tolist())
        return found

    @raises_unavailable
    def hours(self, rule: str, place: str, since_s: int, until_s: int) -> npt.NDArray[np.uint8]:
        """Return the numbers of periods that begin in each hour of an interval, uint8 [hours, 3].

        The columns are the periods that were judged, that exceeded the limit, and that are in dBFS.

        Raises:
            UnavailableError: the store does not answer.
        """
        parts = list(_parts(since_s, until_s))
        pipe = self._redis.pipeline(transaction=False)
        for year, first, end in parts:
            pipe.getrange(level_keys.limit_counts(place, rule, year), first, end - 1)
        found = [np.zeros((0, COUNT_BYTES), dtype=np.uint8)]
        for (year, first, end), answer in zip(parts, pipe.execute(raise_on_error=False), strict=True):
            counts = np.zeros(((end - first) // COUNT_BYTES, COUNT_BYTES), dtype=np.uint8)
            stored = self._rows.read("limit counts", f"{place}:{rule}:{year}", _counts, answer)
            if stored is not None:
                counts[: len(stored)] = stored
            found.append(counts)
        return np.concatenate(found)

    def _cursors(self, wanted: ExceedanceFilter, after: Cursor | None) -> Iterator[Cursor]:
        """Yield the place of each exceedance in the list, newest first."""
        newest: int | str = "+inf" if wanted.until_ms is None else wanted.until_ms
        if after is not None and (wanted.until_ms is None or after.ms < wanted.until_ms):
            newest = after.ms
        oldest = "-inf" if wanted.since_ms is None else wanted.since_ms
        start = 0
        while found := self._redis.zrevrangebyscore(
            level_keys.EXCEEDANCES, newest, oldest, start=start, num=_AT_ONCE, withscores=True
        ):
            start += len(found)
            for member, ms in found:
                cursor = Cursor(int(ms), member.decode(errors="replace"))
                if after is None or cursor < after:
                    yield cursor

    def _read(self, ids: Sequence[str]) -> list[Exceedance]:
        if not ids:
            return []
        rows = self._redis.hmget(level_keys.EXCEEDANCE_ROWS, ids)
        read = (
            self._rows.read("exceedance", one, _ROW.validate_json, row) for one, row in zip(ids, rows, strict=True)
        )
        return [one for one in read if one is not None]


def _parts(since_s: int, until_s: int) -> Iterator[tuple[int, int, int]]:
    """Yield each year of an interval, and begin and end of its part in the year's counts, in bytes."""
    while since_s < until_s:
        year, first = count_offset(since_s)
        end_s = min(until_s, int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()))
        yield year, first, first + -(-(end_s - since_s) // HOUR_S) * COUNT_BYTES
        since_s = end_s


def _counts(raw: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, COUNT_BYTES)


def _summed(raw: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(_counts(raw).sum(axis=0, dtype=np.int64))
