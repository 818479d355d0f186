"""Compare a candidate network or threshold with the present one, by people's verdicts.

A candidate is judged on the stored verdicts, pair by pair beside what is in use, and takes over only if it does
better and that is unlikely to be luck.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.events import EventStore
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES

MIN_VERDICTS: Final = 20
"""Verdicts needed for a judgement."""
MIN_CONFIDENCE: Final = 0.95
_DRAWS: Final = 4_000
_EDGE: Final = 1e-3

Values = npt.NDArray[np.float64]


class ShadowModel:
    """A candidate network that looks at alerts beside the one in use.

    Args:
        archive: where events are.
        scorer: of the candidate.
        compared: called with whether the candidate agrees with an alert.
    """

    def __init__(
        self, archive: EventStore, scorer: Scorer, compared: Callable[[bool], None] = lambda _agrees: None
    ) -> None:
        self._archive = archive
        self._space = scorer.space.id
        self._retrieval = Retrieval([scorer])
        self._compared = compared

    def match_probability(self, alert: AlertMessage) -> float | None:
        """Return the candidate's match probability of an alert: the highest of a match in the alert's categories.

        Returns:
            In [0, 1]; None of an event of another feature space, or one that expired.

        Raises:
            UnavailableError: the store is away.
        """
        events = self._archive.fetch([alert.event, *(match.event for match in alert.matches)])
        own = [event for event in events if event.space == self._space]
        if len(own) < 2 or str(own[0].id) != alert.event:
            return None
        rows = self._retrieval.match_probability(self._space, self._retrieval.compare(own[0], own[1:]))
        probability = float(rows[:, [CATEGORIES.index(name) for name in alert.categories]].max())
        self._compared(probability >= (alert.threshold or 0.0))
        return probability


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate beside what is in use, on the same verdicts.

    Attributes:
        verdicts: how many.
        present: mean cost of what is in use.
        candidate: mean cost of the candidate.
        confidence: P(the candidate costs less on more verdicts like these), in [0, 1].
    """

    verdicts: int
    present: float
    candidate: float
    confidence: float

    @property
    def better(self) -> bool:
        """Return whether the candidate may take over."""
        return self.verdicts >= MIN_VERDICTS and self.candidate < self.present and self.confidence >= MIN_CONFIDENCE

    def describe(self) -> str:
        """Describe the judgement in a sentence."""
        costs = f"cost {self.candidate:.3f} against {self.present:.3f} on {self.verdicts} verdicts"
        if self.verdicts < MIN_VERDICTS:
            return f"undecided: {costs}; at least {MIN_VERDICTS} are needed"
        if self.better:
            return f"better: {costs}, {self.confidence:.0%} sure"
        return f"not better: {costs}, {self.confidence:.0%} sure that it is; {MIN_CONFIDENCE:.0%} are needed"


def compare(present: Sequence[float], candidate: Sequence[float], right: Sequence[bool], seed: int = 0) -> Comparison:
    """Judge the match probabilities of a candidate by their log-loss.

    Args:
        present: match probability that the network in use states of each pair, in [0, 1].
        candidate: the candidate's.
        right: the verdicts of people.
        seed: of the bootstrap.
    """
    truth = np.asarray(right, dtype=np.float64)
    return _judged(_log_loss(present, truth), _log_loss(candidate, truth), seed)


def compare_thresholds(
    match_probability: Sequence[float], right: Sequence[bool], present: float, candidate: float, seed: int = 0
) -> Comparison:
    """Judge a threshold by how often an alert would have been wrong, or a right one missed.

    Args:
        match_probability: stated of each pair, in [0, 1].
        right: the verdicts of people.
        present: threshold in use.
        candidate: threshold proposed.
        seed: of the bootstrap.
    """
    stated, truth = np.asarray(match_probability, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    errors = [((stated >= threshold) != truth).astype(np.float64) for threshold in (present, candidate)]
    return _judged(errors[0], errors[1], seed)


def _log_loss(match_probability: Sequence[float], truth: Values) -> Values:
    p = np.clip(np.asarray(match_probability, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    return np.asarray(-(truth * np.log(p) + (1.0 - truth) * np.log(1.0 - p)), dtype=np.float64)


def _judged(present: Values, candidate: Values, seed: int) -> Comparison:
    """Paired bootstrap over verdicts."""
    count = len(present)
    if not count:
        return Comparison(0, 0.0, 0.0, 0.0)
    gain = present - candidate
    drawn = np.random.default_rng(seed).integers(count, size=(_DRAWS, count))
    confidence = float((gain[drawn].mean(axis=1) > 0.0).mean())
    return Comparison(count, float(present.mean()), float(candidate.mean()), confidence)
