"""Choose the media type of a response by the client's `Accept` header.

Source: RFC 9110, 12.4.2 (quality values) and 12.5.1 (Accept).
"""

from collections.abc import Collection
from typing import Final

METRICS: Final = frozenset({"application/openmetrics-text", "text/plain"})
"""Media types of `/metrics`."""
_LONGEST: Final = 4_096


def preferred(accept: str, offered: Collection[str] = METRICS) -> str:
    """Return the part of an `Accept` header with the highest quality, with its parameters; "" if none matches.

    Of parts with equal quality the first is returned. A part with `q=0` is rejected. An invalid quality value counts
    as 1.

    Args:
        accept: value of the header; only its first 4,096 characters are read.
        offered: media types that the server offers, in lower case.
    """
    best, most = "", 0.0
    for part in accept[:_LONGEST].split(","):
        name, _, parameters = part.strip().partition(";")
        quality = _quality(parameters)
        if quality > most and _covers(name.strip().lower(), offered):
            best, most = part.strip(), quality
    return best


def _covers(name: str, offered: Collection[str]) -> bool:
    return name == "*/*" or name in offered or any(name == f"{kind.partition('/')[0]}/*" for kind in offered)


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0
