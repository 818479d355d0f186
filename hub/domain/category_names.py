"""Names of the categories in words, for pages and reports."""

from collections.abc import Mapping
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    "engine": "Engine",
    "machinery-impact": "Machinery impact",
    "non-machinery-impact": "Other impact",
    "powered-saw": "Powered saw",
    "alert-signal": "Siren or horn",
    "music": "Music",
    "human-voice": "Voices",
    "dog": "Dog",
}


def category_label(category: str) -> str:
    """Return the name of a category."""
    return NAMES.get(category, category)
