"""Which of the media types that a server offers a client wants most; a pure rule.

Source: RFC 9110, 12.4.2 (quality values) and 12.5.1 (Accept).
"""

from collections.abc import Collection
from typing import Final

METRICS: Final = frozenset({"application/openmetrics-text", "text/plain"})
"""What `/metrics` is told as."""
_LONGEST: Final = 4_096


def preferred(accept: str, offered: Collection[str] = METRICS) -> str:
    """Return the part of a header `Accept` that is wanted most, with its parameters; "" if any type will do.

    Of parts that are wanted alike the first counts. A part with `q=0` is refused. A quality value that is none counts
    as 1.

    Args:
        accept: the header; what lies beyond 4,096 characters is not read.
        offered: media types, in lower case.
    """
    best, most = "", 0.0
    for part in accept[:_LONGEST].split(","):
        name, _, parameters = part.strip().partition(";")
        quality = _quality(parameters)
        if quality > most and _covers(name.strip().lower(), offered):
            best, most = part.strip(), quality
    return best


def _covers(name: str, offered: Collection[str]) -> bool:
    return name == "*/*" or name in offered or any(name == f"{one.partition('/')[0]}/*" for one in offered)


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0
