"""Categories of episodes as people correct them by the verdict `wrong-category`.

Pages, lists and patterns show the corrected categories. The rules of alerts go on with the detected ones, so that
they do not depend on when a person looked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.domain.episodes import Episode


@dataclass(frozen=True, slots=True)
class Correction:
    """An episode, as the hub detected it, and its right categories."""

    episode: Episode
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections of episodes by the id of the episode."""

    by_id: Mapping[str, Correction]

    def apply(self, found: Iterable[Episode]) -> list[Episode]:
        """Return episodes with their right category, the first one if there are several."""
        return [
            replace(one, category=self.by_id[one.id].categories[0]) if one.id in self.by_id else one for one in found
        ]

    def of(
        self, found: Iterable[Episode], category: str, *, since_ms: int, before_ms: int, place: str
    ) -> list[Episode]:
        """Return the episodes of a category at a place, newest first, as corrected.

        Args:
            found: those that the hub detected.
            category: of the taxonomy.
            since_ms: add only episodes that opened at this time or later, ms since 1970 UTC.
            before_ms: add only episodes that opened before this time.
            place: `site/sensor`.
        """
        kept = [one for one in found if one.id not in self.by_id or category in self.by_id[one.id].categories]
        added = [
            replace(one.episode, category=category)
            for one in self.by_id.values()
            if category in one.categories
            and category != one.episode.category
            and one.episode.place == place
            and since_ms <= one.episode.opened_ms < before_ms
        ]
        return sorted([*kept, *added], key=lambda one: (one.opened_ms, one.id), reverse=True)

    def moves(self) -> Sequence[tuple[str, str, int, int]]:
        """Return place, category, change of the number of episodes, and opening of each correction's episode."""
        return [
            (one.episode.place, category, change, one.episode.opened_ms)
            for one in self.by_id.values()
            for category, change in [
                *((name, 1) for name in one.categories if name != one.episode.category),
                *([(one.episode.category, -1)] if one.episode.category not in one.categories else []),
            ]
        ]
