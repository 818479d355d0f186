"""The result of a check."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: name of the check.
        ok: whether a hub could run.
        text: the result, or what is wrong and what to do.
        doubts: warnings about what works now and may fail later.
    """

    name: str
    ok: bool
    text: str
    doubts: tuple[str, ...] = ()


Tried = tuple[str, list[str]]
