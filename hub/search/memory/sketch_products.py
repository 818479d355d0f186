"""Sketches as the in-process index keeps them, and the inner products of some queries with all of them.

Where the processor multiplies bytes, a part whose limits are known is kept in bytes: a quarter of what float32 takes,
and so a quarter of the time, since a scan reads all of it. Else a part is kept in the processor's best dtype.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from hub.runtime.int8_products import bytes_multiply, packed, product, sums
from hub.runtime.precision import best_dtype, cpu_capabilities, next_power_of_two
from hub.search.backend import By, Towers
from hub.search.memory.segment import Segment
from hub.search.scoring.sketches import Part, Sketch

_ROWS: Final = 4_096
"""Products are computed for a multiple of this number of rows; see `next_power_of_two`."""
_RESULTS: Final = 1_048_576
"""Results made at once (4 MB), so that they stay in the processor's caches: each call of a product costs 40 us."""
_MIDDLE: Final = 128
"""The byte that stands for 0."""
_STEPS: Final = 127
"""Bytes between 0 and a limit."""


def columns(sketch: Sketch | None) -> list[tuple[int, torch.dtype]]:
    """Width and dtype of what is kept of each part; none without a sketch."""
    return [] if sketch is None else [(part.width, _dtype(part)) for part in sketch.parts]


def kept(sketch: Sketch | None, towers: Towers) -> list[Tensor]:
    """Return the values kept of events, float [n, steps, width]: of each part [n, width], as of `columns`."""
    return [] if sketch is None else [_encoded(part, towers) for part in sketch.parts]


class Products:
    """The ranks of some queries and events as sketches imitate them, off by a constant of each query.

    By both, where an event that stands out by source keeps a place, those by kind and those by source: the best are
    among the closest by one or the other, since only what is close by source ranks higher than by kind.

    Args:
        sketch: of queries and events.
        towers: of the queries, float [q, steps, width], q at least 1; as many as a scan can keep in the caches.
        by: what events are ranked by.

    Attributes:
        apart: whether a call returns products by kind and by source.
    """

    def __init__(self, sketch: Sketch, towers: Towers, by: By) -> None:
        self._count = len(towers)
        cosine = None if by is By.KIND else sketch.cosine
        self._cosine = None if cosine is None else _Factor(cosine, len(sketch.parts) - 1, towers, cosine.slope)
        self._kind = None if cosine and by is By.SOURCE else _Factor(sketch.kind, 0, towers, sketch.kind.level)
        self._floor = 0.0 if cosine is None else cosine.slope * cosine.floor
        self._made: list[Tensor] = []
        self.apart = by is By.BOTH and cosine is not None and cosine.keeps_places

    def __call__(self, chunk: Segment, count: int) -> list[Tensor]:
        """Return the products of the first `count` rows of a chunk: floating [count, q], or two of them.

        They hold until the next call: new memory for each chunk would take longer than its products.
        """
        rows = -(-count // _ROWS) * _ROWS
        at_once = max(_ROWS, _RESULTS // next_power_of_two(self._count) // _ROWS * _ROWS)
        if not self._made or len(self._made[0]) < rows:
            shape = (rows, next_power_of_two(self._count))
            self._made = [torch.empty(shape) for _ in range(1 + self.apart)]
        for start in range(0, rows, at_once):
            end = min(start + at_once, rows)
            self._fill([one[start:end] for one in self._made], chunk, start, end)
        return [one[:count, : self._count] for one in self._made]

    def _fill(self, made: list[Tensor], chunk: Segment, start: int, end: int) -> None:
        if self._kind is None or self._cosine is None or self.apart:
            factors = (factor for factor in (self._kind, self._cosine) if factor is not None)
            for own, factor in zip(made, factors, strict=True):
                own.copy_(factor(chunk, start, end))
        else:
            torch.add(self._cosine(chunk, start, end, self._floor), self._kind(chunk, start, end), out=made[0])


class _Factor:
    """The product of one part of events with queries."""

    def __init__(self, part: Part, number: int, towers: Towers, factor: float) -> None:
        queries = factor * torch.from_numpy(part.of_queries(towers))
        queries = nn.functional.pad(queries, (0, 0, 0, next_power_of_two(len(queries)) - len(queries)))
        self._number = number
        self._bytes = _dtype(part) is torch.uint8
        if self._bytes:
            self._packed = packed(queries * _steps(part))
            self._zero = _MIDDLE * sums(queries * _steps(part))
        else:
            self._queries = queries.to(_dtype(part))

    def __call__(self, chunk: Segment, start: int, end: int, floor: float | None = None) -> Tensor:
        """Return the products of some rows: floating [end - start, at least q]; with a floor, the excess above it."""
        rows = chunk.sketches[self._number][start:end]
        if self._bytes:
            bias = None if floor is None else -(self._zero + floor)
            return product(rows, self._packed, bias=bias, rectified=floor is not None)
        one = len(self._queries) == 1
        made = rows.mv(self._queries[0])[:, None] if one else torch.mm(rows, self._queries.t())
        return made if floor is None else made.sub_(floor).clamp_(min=0.0)


def _dtype(part: Part) -> torch.dtype:
    return torch.uint8 if part.limits is not None and bytes_multiply() else best_dtype(cpu_capabilities())


def _encoded(part: Part, towers: Towers) -> Tensor:
    values = torch.from_numpy(part.of_events(towers))
    dtype = _dtype(part)
    if dtype is not torch.uint8:
        return values.to(dtype)
    return (values / _steps(part)).round_().add_(_MIDDLE).clamp_(1, 255).to(torch.uint8)


def _steps(part: Part) -> Tensor:
    """Return the step between bytes of each value: float32 [width]."""
    return torch.from_numpy(np.asarray(part.limits, dtype=np.float32)) / _STEPS
