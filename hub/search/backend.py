"""Search queries, filters and index entries; and the protocol of search backends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hub.domain.match import PRESENCE_THRESHOLD, Match

Towers = npt.NDArray[np.float32] | npt.NDArray[np.float16]
"""Output of `Scorer.embed` for clips, float [n, steps, width]: tower embeddings, and identities if there are any."""


class By(StrEnum):
    """Criterion of a ranking.

    `KIND`: the level of similarity and the affinity; the same kind of sound comes first. `SOURCE`: the cosine of the
    identities; the same source comes first. `BOTH`: the rank by kind plus the worth of that cosine, which is 0 up to
    a floor. A model without identities ranks by `BOTH` as by `KIND`, and cannot rank by `SOURCE`.
    """

    KIND = "kind"
    SOURCE = "source"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """The values of an event that a backend keeps, besides its towers.

    Attributes:
        event: id of the event.
        place: `site/sensor`.
        captured_ms: time of capture, ms since 1970 UTC.
        laeq: level, in the unit that the sensor reports.
        presence: probability of each category, 8 values.
    """

    event: str
    place: str
    captured_ms: int
    laeq: float
    presence: tuple[float, ...]

    def categories(self) -> tuple[int, ...]:
        """Return the present categories, as positions in `shared.taxonomy.CATEGORIES`."""
        return tuple(i for i, p in enumerate(self.presence) if p >= PRESENCE_THRESHOLD)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Events that must not match: the query itself, and clips of its sensor close to it in time."""

    events: frozenset[str] = frozenset()
    place: str | None = None
    around_ms: int = 0
    within_ms: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of the searched events; all pass by default.

    Attributes:
        since_ms: earliest time of capture, ms since 1970 UTC.
        until_ms: latest time of capture, ms since 1970 UTC.
        places: allowed places, `site/sensor`.
        categories: positions in the taxonomy; at least one of these categories must be present.
        min_laeq: lowest level.
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
        k: most matches to return, at least 1.
        exclusion: events that must not match.
        filter: filter of the searched events.
        by: criterion of the ranking.
    """

    towers: npt.NDArray[np.float32]
    k: int
    exclusion: Exclusion = field(default_factory=Exclusion)
    filter: Filter = field(default_factory=Filter)
    by: By = By.BOTH


class Backend(Protocol):
    """Keeps and finds the events of one feature space; safe to use from several threads."""

    def __len__(self) -> int: ...

    def contains(self, events: Sequence[str]) -> list[bool]:
        """Return for each event whether it is kept."""
        ...

    def add(self, entries: Sequence[IndexEntry], towers: Towers) -> None:
        """Keep events; an event that is already kept changes nothing.

        Args:
            entries: n events.
            towers: float [n, steps, width], the scorer's `embed` of their features.
        """
        ...

    def remove(self, events: Iterable[str]) -> None:
        """Remove events; an unknown event changes nothing."""
        ...

    def search(self, queries: Sequence[Query]) -> list[list[Match]]:
        """Return the most similar events of each query, the best by `Scorer.rank` first, of equals the newest."""
        ...


def rows_by(queries: Sequence[Query]) -> dict[By, list[int]]:
    """Group queries by criterion; return their positions."""
    rows: dict[By, list[int]] = {}
    for row, query in enumerate(queries):
        rows.setdefault(query.by, []).append(row)
    return rows
