from typing import Final

import numpy as np
import pytest

from hub.search.backend import Exclusion, Filter, IndexEntry, Query
from hub.search.memory.exclusion import excluded_rows
from hub.search.memory.segment import Segment, empty

PLACES: Final = {"a/one": 0, "a/two": 1, "b/one": 2}
SIZES: Final = (40, 7)
STEP_MS: Final = 1_000


def entries() -> list[list[IndexEntry]]:
    names, rng = [*PLACES], np.random.default_rng(2)
    return [
        [
            IndexEntry(
                event=f"{number}.{row}",
                place=names[row % len(names)],
                captured_ms=int(rng.integers(0, 60)) * STEP_MS,
                laeq=float(rng.integers(30, 90)),
                presence=tuple(rng.random(8).tolist()),
            )
            for row in range(size)
        ]
        for number, size in enumerate(SIZES)
    ]


def segment_of(rows: list[IndexEntry]) -> Segment:
    made = empty((1, 4), [])
    towers = np.zeros((len(rows), 1, 4), dtype=np.float16)
    made.append(rows, [PLACES[row.place] for row in rows], towers, [])
    return made


def leaves_out(query: Query, row: IndexEntry) -> bool:
    """Decide on one row as `Exclusion` and `Filter` describe it."""
    near, wanted = query.exclusion, query.filter
    return (
        row.event in near.events
        or (row.place == near.place and abs(row.captured_ms - near.around_ms) <= near.within_ms)
        or (wanted.since_ms is not None and row.captured_ms < wanted.since_ms)
        or (wanted.until_ms is not None and row.captured_ms > wanted.until_ms)
        or (wanted.places is not None and row.place not in wanted.places)
        or (wanted.categories is not None and not wanted.categories & set(row.categories()))
        or (wanted.min_laeq is not None and row.laeq < wanted.min_laeq)
    )


TOWERS: Final = np.zeros((1, 4), dtype=np.float32)
QUERIES: Final = (
    Query(TOWERS, 1),
    Query(TOWERS, 1, Exclusion(frozenset({"0.3", "1.6", "unknown"}))),
    Query(TOWERS, 1, Exclusion(frozenset({"0.0"}), "a/two", 30 * STEP_MS, 5 * STEP_MS)),
    Query(TOWERS, 1, Exclusion(place="b/one", around_ms=10 * STEP_MS, within_ms=10 * STEP_MS)),
    Query(TOWERS, 1, Exclusion(place="nowhere/one", around_ms=10 * STEP_MS, within_ms=10 * STEP_MS)),
    Query(TOWERS, 1, Exclusion(place="a/one", around_ms=500 * STEP_MS, within_ms=STEP_MS)),
    Query(TOWERS, 1, filter=Filter(since_ms=20 * STEP_MS, until_ms=40 * STEP_MS)),
    Query(TOWERS, 1, filter=Filter(places=frozenset({"a/one", "nowhere/one"}), min_laeq=50.0)),
    Query(TOWERS, 1, Exclusion(frozenset({"1.1"})), Filter(categories=frozenset({1, 5}))),
)


@pytest.mark.parametrize("searched", [SIZES, (25, 0), (1, 7)], ids=str)
@pytest.mark.parametrize("asked", [QUERIES, QUERIES[2:3], QUERIES[4:6]], ids=len)
def test_a_batch_leaves_out_the_rows_that_each_query_leaves_out(
    asked: tuple[Query, ...], searched: tuple[int, ...]
) -> None:
    rows = entries()
    segments = [segment_of(own) for own in rows]
    segments[0].mark_deleted(2)
    where = {
        row.event: (segment, i) for segment, own in zip(segments, rows, strict=True) for i, row in enumerate(own)
    }
    excluded = excluded_rows([*zip(segments, searched, strict=True)], PLACES, where.get, asked)
    for number, (own, count) in enumerate(zip(rows, searched, strict=True)):
        expected = [
            [(number, row) == (0, 2) or leaves_out(query, entry) for row, entry in enumerate(own[:count])]
            for query in asked
        ]
        assert excluded[number].mask(len(asked), count).tolist() == expected


def test_a_part_has_the_rows_of_its_queries_numbered_from_0() -> None:
    rows = entries()
    segments = [(segment_of(own), len(own)) for own in rows]
    where = {row.event: (segments[n][0], i) for n, own in enumerate(rows) for i, row in enumerate(own)}
    (first, _) = excluded_rows(segments, PLACES, where.get, QUERIES)
    whole = first.mask(len(QUERIES), SIZES[0])
    assert first.part(3, 7).mask(4, SIZES[0]).tolist() == whole[3:7].tolist()
