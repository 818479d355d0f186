"""Shell completion of values on both command lines."""

from collections.abc import Callable, Iterable

from shared.feature_space import SHORT_NAMES

Complete = Callable[[str], list[str]]


def words(choices: Iterable[str]) -> Complete:
    """Return a function that completes one of the given values."""
    known = list(choices)
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


spaces: Complete = words(SHORT_NAMES)
"""Complete the short names of feature spaces."""
