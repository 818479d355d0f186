"""Similar past events across feature spaces: one scorer and one index per space, never compared to each other."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from hub.archive import StoredEvent
from hub.search.index import Entry, Exclusion, Index, Match
from hub.search.scorer import Scorer
from shared.errors import Invalid
from shared.space import Features

Towers = npt.NDArray[np.float32]


class Retrieval:
    """Finds similar past events in whichever feature space an event is.

    Args:
        scorers: one per feature space.
    """

    def __init__(self, scorers: Iterable[Scorer]) -> None:
        self._scorers = {scorer.space.id: scorer for scorer in scorers}
        self._indexes = {space: Index(scorer) for space, scorer in self._scorers.items()}

    @property
    def spaces(self) -> tuple[str, ...]:
        """Ids of the feature spaces that have a model."""
        return tuple(self._scorers)

    def __len__(self) -> int:
        return sum(len(index) for index in self._indexes.values())

    def embed(self, space: str, features: Features) -> Towers:
        """Tower output float32 [steps, width] of one clip's features, uint8 [frames, dimension].

        Raises:
            Invalid: no model for this space, or features of another shape.
        """
        scorer = self._scorer(space)
        return np.asarray(scorer.embed(scorer.space.check(features)[None])[0], dtype=np.float32)

    def presence(self, space: str, towers: Towers) -> tuple[float, ...]:
        """Probability of each category in a clip, as of `Scorer.presence`."""
        return tuple(float(p) for p in self._scorer(space).presence(towers[None])[0])

    def add(self, event: StoredEvent, towers: Towers) -> None:
        """Make an event findable."""
        self._indexes[event.space].add([_entry(event)], towers[None])

    def load(self, events: Sequence[StoredEvent]) -> int:
        """Make archived events findable, a batch at a time.

        Returns:
            How many could not be, for want of a model of their space.
        """
        left_out = 0
        for space in {event.space for event in events}:
            batch = [event for event in events if event.space == space]
            if space not in self._scorers:
                left_out += len(batch)
                continue
            towers = self._scorers[space].embed(np.stack([event.features for event in batch]))
            self._indexes[space].add([_entry(event) for event in batch], towers)
        return left_out

    def remove(self, events: Iterable[StoredEvent]) -> None:
        """Forget events."""
        ids = [str(event.id) for event in events]
        for index in self._indexes.values():
            index.remove(ids)

    def search(self, space: str, towers: Towers, k: int, exclusion: Exclusion) -> list[Match]:
        """The k most similar events of the same space, best first.

        Raises:
            Invalid: no model for this space.
        """
        self._scorer(space)
        return self._indexes[space].search(towers, k, exclusion)

    def similar(self, event: StoredEvent, k: int, exclusion: Exclusion) -> list[Match]:
        """The k events most similar to an archived one.

        Raises:
            Invalid: no model for its space.
        """
        return self.search(event.space, self.embed(event.space, event.features), k, exclusion)

    def _scorer(self, space: str) -> Scorer:
        try:
            return self._scorers[space]
        except KeyError:
            raise Invalid(f"no model for feature space {space!r}; there is one for {list(self._scorers)}") from None


def own_recent(event: str, place: str, captured_at: datetime, within_s: float) -> Exclusion:
    """Bar the event itself and its own sensor's clips within some seconds of it."""
    return Exclusion(
        event=event,
        place=place,
        around_ms=round(captured_at.timestamp() * 1000),
        within_ms=round(within_s * 1000),
    )


def _entry(event: StoredEvent) -> Entry:
    return Entry(event=str(event.id), place=event.place, captured_ms=round(event.captured_at.timestamp() * 1000))
