"""A source in one sentence: "This dog, the 6th time since 3 Nov, weekdays around 07:00"."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from hub.domain.recurrence.analysis import NO_PATTERN
from shared.messages.alert import SourceMessage

NOUNS: Final[Mapping[str, tuple[str, str]]] = {
    "engine": ("an engine", "this engine"),
    "machinery-impact": ("a machine", "this machine"),
    "non-machinery-impact": ("an impact sound", "this impact sound"),
    "powered-saw": ("a powered saw", "this powered saw"),
    "alert-signal": ("a siren or horn", "this siren or horn"),
    "music": ("music", "this music"),
    "human-voice": ("a voice", "this voice"),
    "dog": ("a dog", "this dog"),
}
"""A source of each category, when it is new, and when it is known."""
_SUFFIXES: Final = {1: "st", 2: "nd", 3: "rd"}


def describe_source(source: SourceMessage, category: str, day: Callable[[datetime], str]) -> str:
    """Return which source it is, how often it was detected since when, and its recurrence, without a full stop.

    Args:
        source: of an alert.
        category: of the source.
        day: writes a date.
    """
    unknown, known = NOUNS.get(category, ("a source", "this source"))
    if source.new:
        return f"{unknown}, not detected here before"
    rhythm = f", {source.regularity}" if source.regularity not in {"", NO_PATTERN} else ""
    return f"{known}, the {ordinal(source.times)} time since {day(source.since)}{rhythm}"


def ordinal(number: int) -> str:
    """Write a number as in "1st", "2nd", "11th"."""
    return f"{number}{'th' if number % 100 in {11, 12, 13} else _SUFFIXES.get(number % 10, 'th')}"
