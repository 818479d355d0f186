"""Terminal output of commands: what is printed is text and never markup, as much of it was sent by others."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints square brackets and colons as they are.

    Args:
        stderr: print to standard error.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def printable(text: str) -> str:
    r"""Return a text whose control characters, which would command the terminal, are written out: ESC as `\x1b`."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
