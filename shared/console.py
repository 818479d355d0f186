"""Terminal output of commands. It is printed as text and never as markup, because much of it comes from others."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints square brackets and colons as they are.

    Args:
        stderr: print to standard error.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
