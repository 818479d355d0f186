"""The event closest by source, and the place that a search by both keeps for it.

An archive always has an event that is closest by source. Mostly it is of another source, and hardly closer than the
next. An event of the same source often *stands out*: its cosine exceeds that of the tenth closest of the other events
by a margin. A search by both keeps a place for an event that stands out, and leaves all others in their order.
In a large archive, or for an ordinary sound, the tenth closest is close too, and fewer events stand out.

Source: Lowe 2004, Distinctive image features from scale-invariant keypoints, section 7.1 (a nearest neighbour counts
if the next one is much farther); docs/decisions/0014.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError

TENTH: Final = 10
"""The other event, counted from the closest, with which the closest is compared; and the later of the two places."""
NEAREST: Final = TENTH + 1
"""Events closest by source that the rule looks at."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Margins:
    """Margins of cosines from which the event closest by source keeps a place.

    Attributes:
        first: it ranks first.
        tenth: it ranks tenth or better.

    Raises:
        InvalidError: they do not rise from above 0 to at most 2.
    """

    first: float
    tenth: float

    def __post_init__(self) -> None:
        if not 0.0 < self.tenth <= self.first <= 2.0:
            raise InvalidError(f"margins rise from above 0, that for the first place the larger: {asdict(self)}")

    @classmethod
    def of(cls, document: Any) -> Self | None:  # noqa: ANN401 - JSON of any kind
        """From JSON values; None gives None.

        Raises:
            InvalidError: margins outside their range.
            KeyError, TypeError, ValueError: they are no margins.
        """
        return None if document is None else cls(float(document["first"]), float(document["tenth"]))


@dataclass(frozen=True, slots=True, eq=False)
class Closest:
    """The event closest by source to each of q queries.

    Attributes:
        rows: int64 [q].
        places: int64 [q], the last place that it may have: 1 or 10; 0 if it does not stand out.
    """

    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, cosines: Floats, newest: npt.NDArray[np.int64], margins: Margins | None) -> Self:
        """Find it among n events of each query.

        Args:
            cosines: float32 [q, n], of the identities; -inf of what is no event.
            newest: int64 [q, n]; of equal cosines the event with the largest number is closest.
            margins: None: none stands out.
        """
        queries, events = cosines.shape
        if margins is None or events < NEAREST:
            return cls(np.zeros(queries, dtype=np.int64), np.zeros(queries, dtype=np.int64))
        highest = cosines.max(axis=1)
        compared = np.partition(cosines, -NEAREST, axis=1)[:, -NEAREST]
        ahead = np.subtract(highest, compared, out=np.zeros_like(highest), where=np.isfinite(compared))
        places = np.select([ahead >= margins.first, ahead >= margins.tenth], [1, TENTH], 0)
        return cls(np.where(cosines == highest[:, None], newest, np.iinfo(np.int64).min).argmax(axis=1), places)

    def raised(self, ranks: Floats) -> Floats:
        """Return ranks float32 [q, n] with those of events that stand out just above that of their place.

        As many events as the last place are needed at least; which further ones there are makes no difference.
        """
        made = ranks.copy()
        for query in np.flatnonzero(self.places):
            place, row = self.places[query], self.rows[query]
            least = np.nextafter(np.partition(ranks[query], -place)[-place], np.float32(np.inf))
            made[query, row] = max(made[query, row], least)
        return made

    def marks(self, events: int) -> npt.NDArray[np.bool_]:
        """Return which of n events stand out: bool [q, n]."""
        return np.asarray((np.arange(events) == self.rows[:, None]) & (self.places > 0)[:, None], dtype=np.bool_)
