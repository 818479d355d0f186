"""Why two events match: per category, what would have to differ, and which seconds drew the attention."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.alert_rule import AlertRule
from hub.domain.match import Match
from hub.domain.presence_matrix import BOTH, NEITHER, ONE
from hub.domain.records import StoredEvent
from hub.search.retrieval import Retrieval
from hub.store.episodes import EpisodeStore
from shared.errors import InvalidError
from shared.taxonomy import CATEGORIES

_MOST: Final = 3
"""Most differences in an explanation."""


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """One row of a presence matrix: probabilities in [0, 1] that sum to 1."""

    category: str
    both: float
    neither: float
    one: float


@dataclass(frozen=True, slots=True, eq=False)
class MatchExplanation:
    """Why an event matches another.

    Attributes:
        categories: the presence matrix, in the taxonomy's order.
        lead: category of their highest match probability; "" if they share none.
        match_probability: probability that they are the same kind of sound, in [0, 1].
        same_source: probability that they come from the same source, in [0, 1]; None if the model does not
            distinguish sources.
        threshold: match probability that an alert about `lead` needs at the event's site.
        counterfactuals: sentences on what would have to differ to break the match.
        frames: float32 [n], in [0, 1]: how much attention each n-th of the event drew, the most being 1.
        match_frames: the same of the other.
    """

    categories: Sequence[PresenceRow]
    lead: str
    match_probability: float
    same_source: float | None
    threshold: float
    counterfactuals: Sequence[str]
    frames: npt.NDArray[np.float32]
    match_frames: npt.NDArray[np.float32]


class MatchExplainer:
    """Explains matches.

    Args:
        retrieval: what scores.
        episode_store: for thresholds.
        rule: for what counts as shared, and thresholds where a site has none.
    """

    def __init__(self, retrieval: Retrieval, episode_store: EpisodeStore, rule: AlertRule) -> None:
        self._retrieval = retrieval
        self._episode_store = episode_store
        self._rule = rule

    def explain(self, event: StoredEvent, match: StoredEvent) -> MatchExplanation:
        """Why an event matches another, or how little it does.

        Raises:
            InvalidError: they are of different feature spaces, or there is no model for theirs.
            UnavailableError: the store is away.
        """
        if event.space != match.space:
            raise InvalidError(
                f"{event.id} is of {event.space} and {match.id} of {match.space}: they cannot be compared"
            )
        (pair,) = self._retrieval.compare(event, [match])
        thresholds = self._episode_store.thresholds.of(event.site)
        match_probability = self._match_probability(event.space, pair.kind_rank, pair.matrix)
        lead = max(match_probability, key=lambda name: match_probability[name]) if match_probability else ""
        threshold = thresholds[lead].value if lead in thresholds else self._rule.threshold
        first, second = (self._retrieval.attention(*pair) for pair in ((event, match), (match, event)))
        return MatchExplanation(
            categories=[
                PresenceRow(name, *map(float, row)) for name, row in zip(CATEGORIES, pair.matrix, strict=True)
            ],
            lead=lead,
            match_probability=match_probability.get(lead, 0.0),
            threshold=threshold,
            counterfactuals=self._counterfactuals(event.space, pair, lead, threshold) if lead else [],
            frames=_weighted_attention(first, event.presence),
            match_frames=_weighted_attention(second, match.presence),
            same_source=self._retrieval.same_sources(event.space, [pair])[0],
        )

    def attention(self, event: StoredEvent) -> npt.NDArray[np.float32]:
        """Return the attention that each n-th of an event drew: float32 [n], in [0, 1], the most being 1.

        Raises:
            InvalidError: no model for its feature space.
        """
        return _weighted_attention(self._retrieval.attention(event, event), event.presence)

    def _match_probability(self, space: str, rank: float, matrix: npt.NDArray[np.float32]) -> Mapping[str, float]:
        """By category that they share."""
        row = self._retrieval.match_probability(space, [Match("", "", 0, 0.0, rank, matrix)])[0]
        shared = matrix[:, BOTH] >= self._rule.min_shared
        return {name: float(row[i]) for i, name in enumerate(CATEGORIES) if shared[i]}

    def _counterfactuals(self, space: str, pair: Match, lead: str, threshold: float) -> list[str]:
        """Return the single differences, or else the pairs, that would make it no match worth an alert."""
        before = self._match_probability(space, pair.kind_rank, pair.matrix)[lead]
        if before < threshold:
            return [f"It is no match worth an alert: {before:.1%} is below the {threshold:.1%} needed here."]
        sentences: list[tuple[float, str]] = []
        for size in (1, 2):
            for changed in itertools.combinations(range(len(CATEGORIES)), size):
                after = self._after(space, pair, changed)
                if after < threshold:
                    sentences.append(
                        (after, f"{_differing(pair.matrix, changed)}: {before:.0%} would become {after:.0%}.")
                    )
            if sentences:
                break
        return [sentence for _, sentence in sorted(sentences)[:_MOST]]

    def _after(self, space: str, pair: Match, changed: Sequence[int]) -> float:
        """Return the highest match probability if the two had certainly differed in some categories."""
        matrix, rank = pair.matrix.copy(), pair.kind_rank
        for number in changed:
            rank -= float(matrix[number, BOTH] + matrix[number, NEITHER])
            matrix[number] = 0.0
            matrix[number, ONE] = 1.0
        return max(self._match_probability(space, rank, matrix).values(), default=0.0)


def _differing(matrix: npt.NDArray[np.float32], changed: Sequence[int]) -> str:
    """Such as "if only one of them had contained music"."""
    shared = [CATEGORIES[i] for i in changed if matrix[i, BOTH] >= matrix[i, NEITHER]]
    absent = [CATEGORIES[i] for i in changed if matrix[i, BOTH] < matrix[i, NEITHER]]
    parts = [f"only one of them had contained {name}" for name in shared]
    parts += [f"one of them had contained {name} as well" for name in absent]
    return "If " + " and ".join(parts)


def _weighted_attention(attention: npt.NDArray[np.float32], presence: Sequence[float]) -> npt.NDArray[np.float32]:
    """Attention [steps, 8] to what is present, the most being 1: float32 [steps]."""
    weights = np.square(np.asarray(presence, dtype=np.float32))
    drawn = attention @ weights
    return np.asarray(drawn / max(float(drawn.max(initial=0.0)), 1e-9), dtype=np.float32)
