"""Queries and answers of a search, and the interface of every search backend."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hub.domain.match import PRESENCE_THRESHOLD, Match

Towers = npt.NDArray[np.float32] | npt.NDArray[np.float16]
"""Result of `Scorer.embed` for clips, float [n, steps, width]: tower outputs, and identities beside them."""


class By(StrEnum):
    """The value that a search ranks events by.

    By `KIND`: the level of similarity and the affinity, so the same kind of sound first. By `SOURCE`: the cosine of
    the identities, so the same source first. By `BOTH`: the rank by kind plus what that cosine is worth, which is
    nothing up to a floor; an event that stands out by source keeps a place (`hub.domain.closest_source`). A model
    that has no identities ranks by `BOTH` as by `KIND`, and cannot rank by `SOURCE`.
    """

    KIND = "kind"
    SOURCE = "source"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Values that a backend keeps of an event beside its towers.

    Attributes:
        event: its id, as text.
        place: `site/sensor`.
        captured_ms: when it was captured, ms since 1970 UTC.
        laeq: its level, in the unit that its sensor reports.
        presence: probability of each category, 8 values.
    """

    event: str
    place: str
    captured_ms: int
    laeq: float
    presence: tuple[float, ...]

    def categories(self) -> tuple[int, ...]:
        """Return the categories that are present, as positions in `shared.taxonomy.CATEGORIES`."""
        return tuple(i for i, p in enumerate(self.presence) if p >= PRESENCE_THRESHOLD)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Events that must not match: the query itself, and clips of its own sensor close to it in time."""

    events: frozenset[str] = frozenset()
    place: str | None = None
    around_ms: int = 0
    within_ms: int = 0


def exclude_recent_from_sensor(
    events: Iterable[str], place: str, captured_at: datetime, within_s: float
) -> Exclusion:
    """Bar some events, the query among them, and its own sensor's clips within some seconds of it."""
    return Exclusion(
        events=frozenset(events),
        place=place,
        around_ms=round(captured_at.timestamp() * 1000),
        within_ms=round(within_s * 1000),
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """The events that are searched; all by default.

    Attributes:
        since_ms: captured at this time or later, ms since 1970 UTC.
        until_ms: captured at this time or before.
        places: of one of these `site/sensor`.
        categories: with at least one of these categories present, as positions in the taxonomy.
        min_laeq: at least this loud.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    places: frozenset[str] | None = None
    categories: frozenset[int] | None = None
    min_laeq: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One search.

    Attributes:
        towers: float [steps, width], the scorer's `embed` of the query's features.
        k: most matches wanted, at least 1.
        exclusion: what must not match.
        filter: what is looked at.
        by: what events are ranked by.
        keep_place: whether an event that stands out by source keeps a place, by both; without, one scan is enough.
    """

    towers: npt.NDArray[np.float32]
    k: int
    exclusion: Exclusion = field(default_factory=Exclusion)
    filter: Filter = field(default_factory=Filter)
    by: By = By.BOTH
    keep_place: bool = True


class Backend(Protocol):
    """An index of the events of one feature space; safe to use from several threads."""

    def __len__(self) -> int: ...

    def contains(self, events: Sequence[str]) -> list[bool]:
        """Return of each event whether it is kept."""
        ...

    def add(self, entries: Sequence[IndexEntry], towers: Towers) -> None:
        """Keep events; one that is there already changes nothing.

        Args:
            entries: n events.
            towers: float [n, steps, width], the scorer's `embed` of their features.
        """
        ...

    def remove(self, events: Iterable[str]) -> None:
        """Forget events; one that is not there changes nothing."""
        ...

    def search(self, queries: Sequence[Query]) -> list[list[Match]]:
        """Return each query's most similar events, the best by `Scorer.rank` first; of equals the newest first."""
        ...


def rows_by(queries: Sequence[Query]) -> dict[tuple[By, bool], list[int]]:
    """Return the rows of the queries that are ranked by each value, with and without kept places."""
    rows: dict[tuple[By, bool], list[int]] = {}
    for row, query in enumerate(queries):
        rows.setdefault((query.by, query.keep_place), []).append(row)
    return rows
