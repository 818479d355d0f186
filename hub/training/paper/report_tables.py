"""Cells and numbers of docs/results.md that several of its sections use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any, Final

Record = Mapping[str, Any]
Cell = tuple[str, int, int]
"""Kind of queries, s, K."""

CELLS: Final[tuple[Cell, ...]] = tuple(("all", s, k) for s in (8, 7) for k in (1, 10, 100))


def rows(records: Iterable[Record], method: str) -> Iterator[Record]:
    """Return the mAP rows of a method."""
    for record in records:
        yield from (row for row in record["results"] if row["method"] == method and "map" in row)


def of_cell(records: Iterable[Record], method: str, cell: Cell) -> list[Record]:
    """Return the rows of a method in one cell, one per seed."""
    return [row for row in rows(records, method) if (row["queries"], row["s"], row["K"]) == cell]


def values(records: Iterable[Record], method: str, cell: Cell) -> list[float]:
    """Return the mAP of a method in one cell, one per seed."""
    return [row["map"] for row in of_cell(records, method, cell)]


def table(records: Sequence[Record], methods: Iterable[str], cells: Sequence[Cell]) -> Iterator[str]:
    """MAP of each method in each cell, and fine agreement."""
    titles = [f"{'' if kind == 'all' else kind + ' '}s{s}K{k}" for kind, s, k in cells]
    yield f"| method | seeds | {' | '.join(titles)} | fine@10 |"
    yield f"|---|---|{'---|' * (len(cells) + 1)}"
    for method in methods:
        summaries = [_summary(values(records, method, cell)) for cell in cells]
        fine = [row["fine"] for row in of_cell(records, method, ("all", 8, 10)) if "fine" in row]
        seeds = len(of_cell(records, method, cells[0]))
        yield f"| {method} | {seeds} | {' | '.join(summaries)} | {_summary(fine)} |"
    yield ""


def behind(records: Sequence[Record], pairs: Iterable[tuple[str, str]], cells: Sequence[Cell]) -> Iterator[str]:
    """Every cell in which the first of a pair of methods is behind the second, by their seeds' means."""
    for one, other in pairs:
        if not (any(rows(records, one)) and any(rows(records, other))):
            continue
        gaps = {c: mean(values(records, one, c)) - mean(values(records, other, c)) for c in cells}
        yield losses(one, other, {f"{kind} s{s}K{k}": gap for (kind, s, k), gap in gaps.items()})
    yield ""


def losses(one: str, other: str, gaps: Mapping[str, float]) -> str:
    """Return a line with the figures in which a method is behind another.

    Args:
        one: name of the method.
        other: of the other.
        gaps: by cell, its figure minus the other's.
    """
    lost = [f"{cell} {gap:+.3f}" for cell, gap in gaps.items() if gap < 0]
    where = f"behind in {len(lost)} of {len(gaps)} cells: {', '.join(lost)}" if lost else "nowhere behind"
    return f"- `{one}` against `{other}`: {where}."


def _summary(found: Sequence[float]) -> str:
    """Return the mean of seeds, and their range if there are several."""
    if not found:
        return ""
    if len(found) == 1:
        return short(found[0])
    return f"{short(mean(found))} ({short(min(found))} to {short(max(found))})"


def short(value: float) -> str:
    """Format a figure in [0, 1] to three digits, without the zero before the point."""
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"
