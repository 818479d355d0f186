"""Sketches as the in-process index keeps them, and the inner products of some queries with all of them.

Where the processor multiplies bytes, a part whose limits are known is kept in bytes: a quarter of what float32 takes,
and so a quarter of the time, since a scan reads all of it. Else a part is kept in the processor's best dtype.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from hub.model.precision import best_dtype, capabilities, round_up
from hub.search.chunk import Chunk
from hub.search.eight_bits import Packed, bytes_multiply, packed, product
from hub.search.match import By, Towers
from hub.search.sketch import Part, Sketch

_ROWS: Final = 4_096
"""Products are taken of so many rows or a multiple, for the reason of `round_up`."""
_QUERIES: Final = 16
"""Most queries multiplied at once in bytes: of more, the results do not stay in the processor's caches."""
_MIDDLE: Final = 128
"""The byte that stands for 0."""
_STEPS: Final = 127
"""Bytes between 0 and a limit."""


def columns(sketch: Sketch | None) -> list[tuple[int, torch.dtype]]:
    """Width and dtype of what is kept of each part; none without a sketch."""
    return [] if sketch is None else [(part.width, _dtype(part)) for part in sketch.parts]


def kept(sketch: Sketch | None, towers: Towers) -> list[Tensor]:
    """What is kept of events, float [n, steps, width]: of each part [n, width], as of `columns`."""
    return [] if sketch is None else [_encoded(part, towers) for part in sketch.parts]


class Products:
    """The ranks of some queries and events as sketches imitate them; by kind and both off by a constant.

    Args:
        sketch: of queries and events.
        towers: of the queries, float [q, steps, width], q at least 1.
        by: what events are ranked by.
    """

    def __init__(self, sketch: Sketch, towers: Towers, by: By) -> None:
        self._count = len(towers)
        asked_by = By.KIND if sketch.cosine is None else by
        self._kind = None if asked_by is By.SOURCE else _multiplier(sketch.kind, towers, sketch.kind.level)
        self._cosine = None if asked_by is By.KIND else _multiplier(sketch.parts[-1], towers)
        self._worth = None if sketch.cosine is None else sketch.cosine.worth

    def __call__(self, chunk: Chunk, count: int) -> Tensor:
        """Of the first `count` rows of a chunk: [count, q], floating."""
        rows = -(-count // _ROWS) * _ROWS
        made = [multiply(own[:rows]) for multiply, own in self._parts(chunk)]
        if len(made) == 2 and self._worth is not None:
            made = [made[0].float() + self._worth(made[1].float())]
        return made[0][:count, : self._count]

    def _parts(self, chunk: Chunk) -> Iterator[tuple[Callable[[Tensor], Tensor], Tensor]]:
        if self._kind is not None:
            yield self._kind, chunk.sketches[0]
        if self._cosine is not None:
            yield self._cosine, chunk.sketches[-1]


def _dtype(part: Part) -> torch.dtype:
    return torch.uint8 if part.limits is not None and bytes_multiply() else best_dtype(capabilities())


def _encoded(part: Part, towers: Towers) -> Tensor:
    values = torch.from_numpy(part.of_events(towers))
    dtype = _dtype(part)
    if dtype is not torch.uint8:
        return values.to(dtype)
    return (values / _steps(part)).round_().add_(_MIDDLE).clamp_(1, 255).to(torch.uint8)


def _steps(part: Part) -> Tensor:
    """How much a byte more is, of each value: float32 [width]."""
    return torch.from_numpy(np.asarray(part.limits, dtype=np.float32)) / _STEPS


def _multiplier(part: Part, towers: Towers, factor: float = 1.0) -> Callable[[Tensor], Tensor]:
    """The product of what is kept of n events, [n, width], with queries: [n, at least q]."""
    queries = factor * torch.from_numpy(part.of_queries(towers))
    queries = nn.functional.pad(queries, (0, 0, 0, round_up(len(queries)) - len(queries)))
    if _dtype(part) is torch.uint8:
        matrices = [packed(some) for some in torch.split(queries * _steps(part), _QUERIES)]
        zero = _product(torch.full((1, part.width), _MIDDLE, dtype=torch.uint8), matrices)
        return lambda rows: _product(rows, matrices).sub_(zero)
    own = queries.to(_dtype(part))
    if len(own) == 1:
        return lambda rows: rows.mv(own[0])[:, None]
    return lambda rows: torch.mm(rows, own.t())


def _product(rows: Tensor, matrices: Sequence[Packed]) -> Tensor:
    made = [product(rows, matrix) for matrix in matrices]
    return made[0] if len(made) == 1 else torch.cat(made, dim=1)
