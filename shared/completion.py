"""What the shell completes on both command lines, beside commands, options and files."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from shared.space import SHORT_NAMES

Complete = Callable[[str], list[str]]


def words(choices: Iterable[str]) -> Complete:
    """Completes words of a fixed choice."""
    known = list(choices)
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


def settings(kind: type[BaseSettings]) -> Complete:
    """Completes `group.field=` of a program's settings, for `--set`."""
    groups = {name: one.annotation for name, one in kind.model_fields.items()}
    return words(
        f"{name}.{field}="
        for name, group in groups.items()
        if isinstance(group, type) and issubclass(group, BaseModel)
        for field in group.model_fields
    )


spaces: Complete = words(SHORT_NAMES)
"""Completes the short names of feature spaces."""
