"""Define a match: a similar past event, and how likely it is the same kind of sound."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRESENCE_THRESHOLD = 0.5
"""A category counts as present in an event from this probability on."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A similar past event.

    Attributes:
        event: its id, as text.
        place: `site/sensor`.
        captured_ms: when it was captured, ms since 1970 UTC.
        level: level of similarity in [0, 8]. Source: the paper, section 3.1.
        rank: what matches are ordered by, as of `Scorer.rank` by what was asked.
        matrix: Pairwise Presence Matrix, float32 [8, 3]: P(both), P(neither), P(one) per category.
        identity: cosine of the two identities, in [-1, 1]; 0 if the model has none.
        kind: rank by kind, from which the match probability follows; None if that is `rank`.
        stands_out: whether it keeps its place because it is by far the closest by source, as of
            `hub.domain.closest_source`.
    """

    event: str
    place: str
    captured_ms: int
    level: float
    rank: float
    matrix: npt.NDArray[np.float32]
    identity: float = 0.0
    kind: float | None = None
    stands_out: bool = False

    @property
    def kind_rank(self) -> float:
        """Rank by kind."""
        return self.rank if self.kind is None else self.kind


MatchProbabilities = npt.NDArray[np.float32]
"""float32 [n, 8], in [0, 1]."""
