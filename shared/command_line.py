"""Common parts of both command lines: strict JSON output, UTF-8 streams, and `~` in arguments."""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


def to_json(document: object, *, indent: int | None = None, default: Any = None) -> str:  # noqa: ANN401 - a callable
    """Write a document as JSON; numbers that JSON does not have (NaN, infinities) become null.

    Args:
        document: mappings, lists, tuples and plain values.
        indent: spaces per level; None writes one line.
        default: function that converts any other value.

    Source: RFC 8259, 6.
    """
    return json.dumps(_finite(document), indent=indent, default=default, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_finite(element) for element in value]
    return value


def prepare(arguments: Sequence[str]) -> list[str]:
    """Make a program's output UTF-8 unless it goes to a terminal, and expand `~/` in its arguments.

    A shell does not expand `--config=~/hub.toml`. A character that the terminal lacks is written as an escape.

    Returns:
        The arguments to parse.
    """
    for stream in (sys.stdout, sys.stderr):
        _prepare(stream)
    return [_with_home(argument) for argument in arguments]


def _prepare(stream: TextIO | Any) -> None:  # noqa: ANN401 - any replacement of a stream
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def _with_home(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if option.startswith("--") and equals and value.startswith("~/"):
        return f"{option}={os.path.expanduser(value)}"  # noqa: PTH111 - the text may not be a path
    return os.path.expanduser(argument) if argument.startswith("~/") else argument  # noqa: PTH111
