import numpy as np
import pytest
import torch

from hub.search.memory.exclusion import ExcludedRows
from hub.search.memory.segment import Rows, Segment, empty
from hub.search.memory.sketch_scan import top_candidates

VALUES = 8


def chunk(rows: int, rng: np.random.Generator) -> tuple[Segment, int]:
    """Small whole numbers, whose products bfloat16 knows exactly: many are equal."""
    made = empty((1, 4), [(VALUES, torch.bfloat16)])
    made.sketches[0][:rows] = torch.from_numpy(rng.integers(-2, 3, (rows, VALUES)))
    made.sketches[0][rows:] = torch.nan  # whatever is there is not looked at
    return made, rows


def by_sorting(
    sketches: torch.Tensor, chunks: list[tuple[Segment, int]], barred: list[list[Rows]], count: int
) -> list[list[int]]:
    everything = torch.cat([made.sketches[0][:rows] for made, rows in chunks]).float()
    products = (sketches @ everything.t()).numpy()
    starts = np.cumsum([0, *(rows for _, rows in chunks)])
    found = []
    for own, out in zip(products, barred, strict=True):
        own[np.concatenate([start + rows for start, rows in zip(starts[:-1], out, strict=True)])] = -np.inf
        order = np.argsort(-own, kind="stable")
        found.append(sorted(order[: min(count, int(np.isfinite(own).sum()))].tolist()))
    return found


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("count", [1, 10, 200, 10_000])
@pytest.mark.parametrize("sizes", [(5_000, 3), (16,), (1,), (70, 4_097, 15)])
def test_the_nearest_rows_are_those_that_sorting_finds(queries: int, count: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(count)
    chunks = [chunk(rows, rng) for rows in sizes]
    sketches = torch.from_numpy(rng.integers(-2, 3, (queries, VALUES))).float()
    barred: list[list[Rows]] = [
        [np.flatnonzero(rng.random(rows) < 0.3 * number) for rows in sizes] for number in range(queries)
    ]
    deleted = [rng.permutation(rows)[: rows // 10] for rows in sizes]
    excluded = [
        ExcludedRows(
            out,
            np.repeat(np.arange(queries), [len(rows) for rows in own]),
            np.concatenate(own),
        )
        for out, own in zip(deleted, zip(*barred, strict=True), strict=True)
    ]
    barred = [[np.union1d(rows, out) for rows, out in zip(own, deleted, strict=True)] for own in barred]
    found = top_candidates(
        lambda one, rows: [one.sketches[0][:rows].float() @ sketches.t()], chunks, excluded, queries, [count]
    )[0]
    assert [rows.tolist() for rows in found] == by_sorting(sketches, chunks, barred, count)


def test_nothing_is_near_where_nothing_is() -> None:
    found = top_candidates(lambda _, rows: [torch.zeros(rows, 2)] * 2, [], [], 2, [5, 80])
    assert [[rows.tolist() for rows in kind] for kind in found] == [[[], []], [[], []]]
