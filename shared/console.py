"""Terminal output of commands: what is printed is text and never markup, as much of it was sent by others."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints square brackets and colons as they are.

    Args:
        stderr: print to standard error.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
