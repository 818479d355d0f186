"""Reads rows of the store as values, and leaves out those that cannot be read.

A row may be of another version of this program, of a feature space that this hub does not know, or damaged. It
never breaks a list, a page or a start: it is logged and counted once, and left out.
"""

import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from shared.errors import InvalidError

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Value = TypeVar("Value")

UNREADABLE: Final = (
    InvalidError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions of reading a row."""
_LOGGED: Final = 20
"""Rows of one kind that are logged; further ones are counted only."""
_REMEMBERED: Final = 100_000
"""Rows that are counted once; beyond these a row counts each time it is read."""
_RECORDED: Final[ContextVar[set[tuple[str, str]] | None]] = ContextVar("left_out_rows", default=None)


@contextmanager
def recording() -> Iterator[set[tuple[str, str]]]:
    """Yield a set that takes kind and key of each row that this thread leaves out in the context, also known ones."""
    left_out: set[tuple[str, str]] = set()
    token = _RECORDED.set(left_out)
    try:
        yield left_out
    finally:
        _RECORDED.reset(token)


class Rows:
    """Reads rows, and counts those left out; safe to use from several threads."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._left_out: Counter[str] = Counter()

    def read(self, kind: str, key: str, make: Callable[[Row], Value], row: Row | None) -> Value | None:
        """Return what `make` makes of a row; None if there is none, or if it cannot be read.

        Args:
            kind: what the row is, such as "event".
            key: which one it is.
            make: reads it.
            row: as the store has it.
        """
        if row is None:
            return None
        try:
            return make(row)
        except UNREADABLE as error:
            self.leave_out(kind, key, error)
            return None

    @property
    def left_out(self) -> dict[str, int]:
        """Number of rows of each kind that could not be read."""
        return dict(self._left_out)

    def leave_out(self, kind: str, key: str, error: Exception) -> None:
        """Log and count, once, a row that cannot be read.

        Args:
            kind: what the row is, such as "event".
            key: which one it is.
            error: why it cannot be read.
        """
        if (recorded := _RECORDED.get()) is not None:
            recorded.add((kind, key))
        if (kind, key) in self._known:
            return
        if len(self._known) < _REMEMBERED:
            self._known.add((kind, key))
        self._left_out[kind] += 1
        if self._left_out[kind] <= _LOGGED:
            reason = f"{type(error).__name__}: {error}"[:300]
            log.warning("stored row left out: it cannot be read", extra={"kind": kind, "key": key, "reason": reason})
