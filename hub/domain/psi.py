"""Population stability index of a distribution against an earlier one, and the distributions it is taken of.

Of archived events, counts in bins are kept: of each category's presence and of match probability in tenths, and of
the mean embedding along a few fixed directions, in tenths of the reference.

Source: Siddiqi, Credit Risk Scorecards, 2006: below 0.1 nothing changed, over 0.25 much did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError
from shared.taxonomy import COUNT

BINS: Final = 10
DIRECTIONS: Final = 8
_SEED: Final = 0

Counts = npt.NDArray[np.int64]
"""int64 [k, BINS]."""


def psi(now: Counts, reference: Counts, spans: int | None = None, of: int | None = None) -> npt.NDArray[np.float64]:
    """Return the population stability index of each of k distributions: float64 [k], from 0.

    Every bin is given half an event more, so that an empty one does not count for everything; and what two samples of
    one and the same distribution would differ by on average is taken off. Events of one sensor within minutes are
    much alike, so that many may hold no more information than a few: `spans` is how many they count as.

    Args:
        now: int64 [k, bins].
        reference: the same.
        spans: how many of `now` are independent of each other; all of them if not given.
        of: the same of the reference.
    """
    few, many = _effective_count(now, spans), _effective_count(reference, of)
    q, p = _shares(now, few), _shares(reference, many)
    by_chance = (now.shape[1] - 1) * (1.0 / few + 1.0 / many)
    value: npt.NDArray[np.float64] = np.maximum(0.0, ((q - p) * np.log(q / p)).sum(axis=1) - by_chance)
    return value


def _effective_count(counts: Counts, spans: int | None) -> npt.NDArray[np.float64]:
    most = np.inf if spans is None else max(1, spans)
    return np.asarray(counts.sum(axis=1).clip(1, most), dtype=np.float64)


def _shares(counts: Counts, effective: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    smoothed = counts * (effective / counts.sum(axis=1).clip(1))[:, None] + 0.5
    return np.asarray(smoothed / smoothed.sum(axis=1, keepdims=True), dtype=np.float64)


def decile_histogram(values: npt.NDArray[np.floating]) -> Counts:
    """Return the counts of probabilities, floating [n, k] in [0, 1], in tenths: int64 [k, 10]."""
    bins = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
    return np.stack([np.bincount(column, minlength=BINS) for column in bins.T])


def random_projections(features: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean embeddings along fixed random directions: float64 [n, 8], of features uint8 [n, frames, dimension]."""
    signs = np.random.default_rng(_SEED).choice((-1.0, 1.0), (features.shape[-1], DIRECTIONS))
    return np.asarray(features.mean(axis=1) @ signs / np.sqrt(features.shape[-1]), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference distributions of the events of a feature space.

    Attributes:
        presence: counts in tenths, int64 [8, 10].
        edges: of the tenths of mean embeddings, float64 [8, 9].
        embedding: counts between them, int64 [8, 10].
        spans: how many of the events are independent of each other.

    Raises:
        InvalidError: another shape.
    """

    presence: Counts
    edges: npt.NDArray[np.float64]
    embedding: Counts
    spans: int

    def __post_init__(self) -> None:
        shapes = (self.presence.shape, self.edges.shape, self.embedding.shape)
        if shapes != ((COUNT, BINS), (DIRECTIONS, BINS - 1), (DIRECTIONS, BINS)):
            raise InvalidError(f"a reference of {shapes} is not understood")

    @property
    def events(self) -> int:
        """Number of events that it was made of."""
        return int(self.presence[0].sum())

    @classmethod
    def from_sample(
        cls, presence: npt.NDArray[np.float32], features: npt.NDArray[np.uint8], spans: int
    ) -> "Reference":
        """Return the reference of events.

        Args:
            presence: float32 [n, 8].
            features: uint8 [m, frames, dimension], of all of them or of some.
            spans: how many of them are independent of each other.
        """
        along = random_projections(features)
        edges = np.quantile(along, np.arange(1, BINS) / BINS, axis=0).T
        return cls(decile_histogram(presence), edges, _between(along, edges), spans)

    def presence_psi(self, presence: npt.NDArray[np.float32], spans: int) -> npt.NDArray[np.float64]:
        """Return the PSI of other events' presence, float32 [n, 8], of `spans` spans: float64 [8]."""
        return psi(decile_histogram(presence), self.presence, spans, self.spans)

    def embedding_psi(self, features: npt.NDArray[np.uint8], spans: int) -> float:
        """Return the PSI of other events' features, uint8 [n, frames, dimension], on average of the directions."""
        return float(
            psi(_between(random_projections(features), self.edges), self.embedding, spans, self.spans).mean()
        )

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        return {name: getattr(self, name).tolist() for name in ("presence", "edges", "embedding")} | {
            "spans": self.spans
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Reference":
        """From JSON values.

        Raises:
            InvalidError: they are not a reference.
        """
        try:
            presence, embedding = (np.array(document[name], dtype=np.int64) for name in ("presence", "embedding"))
            edges = np.array(document["edges"], dtype=np.float64)
            return cls(presence, edges, embedding, int(document.get("spans", presence[0].sum())))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InvalidError(f"the reference is not understood: {error}") from error


def _between(along: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Counts:
    """Return the counts, int64 [8, 10], of values [n, 8] between edges [8, 9]."""
    return np.stack(
        [
            np.bincount(np.searchsorted(own, column, side="right"), minlength=BINS)
            for own, column in zip(edges, along.T, strict=True)
        ]
    )
