"""What the shell completes on both command lines, beside commands, options and files."""

from collections.abc import Callable, Iterable

from shared.feature_space import SHORT_NAMES

Complete = Callable[[str], list[str]]


def words(choices: Iterable[str]) -> Complete:
    """Completes words of a fixed choice."""
    known = list(choices)
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


spaces: Complete = words(SHORT_NAMES)
"""Completes the short names of feature spaces."""
