"""Calibration: conversion of a network's scores to probabilities.

A checkpoint contains calibration curves, measured on clips outside its training set. The hub ranks by scores;
thresholds and people use probabilities.

Source: Zadrozny and Elkan 2002 (isotonic regression); Guo et al. 2017 (expected calibration error).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError
from shared.taxonomy import COUNT

KNOTS: Final = 64
FEWEST: Final = 20
"""Least pairs that a knot is measured on."""


_SINGLE: Final = ("level_8", "level_7", "match_8", "match_7")


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve that never falls, of straight lines between knots and level beyond them.

    Attributes:
        x: scores, rising.
        y: probabilities in [0, 1], never falling.

    Raises:
        InvalidError: no knots, or knots out of order or range.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x, dtype=np.float64), np.asarray(self.y, dtype=np.float64)
        if x.ndim != 1 or not len(x) or x.shape != y.shape or not np.isfinite(x).all():
            raise InvalidError("a curve needs as many x as y, all finite")
        if (np.diff(x) < 0).any() or (np.diff(y) < 0).any() or not (y[0] >= 0.0 and y[-1] <= 1.0):
            raise InvalidError("a curve rises, from 0 at least to 1 at most")

    def __call__(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Probabilities of scores: float32 of the same shape, in [0, 1]."""
        return np.asarray(np.interp(scores, self.x, self.y), dtype=np.float32)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Curve":
        """From JSON values.

        Raises:
            KeyError, TypeError, ValueError, InvalidError: they are not a curve's.
        """
        return cls(tuple(map(float, document["x"])), tuple(map(float, document["y"])))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The meaning of a checkpoint's figures.

    Attributes:
        level_8: from what events are ranked by to P(they agree on all eight categories), of any pair.
        level_7: to P(they agree on at least seven), of any pair.
        match_8: the same as `level_8`, of a query and one of its ten best: the best of thousands is there partly by
            luck, and agrees less often than another pair that scores as high.
        match_7: the same as `level_7`, likewise.
        agree: per category, from P(both) + P(neither) to P(they agree on it).
        both: per category, from P(both) to P(both contain it).

    Raises:
        InvalidError: not one curve per category.
    """

    level_8: Curve
    level_7: Curve
    match_8: Curve
    match_7: Curve
    agree: tuple[Curve, ...]
    both: tuple[Curve, ...]

    def __post_init__(self) -> None:
        if len(self.agree) != COUNT or len(self.both) != COUNT:
            raise InvalidError(f"calibration wants {COUNT} curves per situation")

    def at_least(self, s: int, *, match: bool = False) -> Curve:
        """Return the curve of P(agreement >= s), s in {8, 7}; of any pair, or of a match.

        Raises:
            InvalidError: another s.
        """
        if s not in {COUNT - 1, COUNT}:
            raise InvalidError(f"levels {COUNT} and {COUNT - 1} are calibrated, not {s}")
        curves = (self.match_8, self.match_7) if match else (self.level_8, self.level_7)
        return curves[0] if s == COUNT else curves[1]

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Calibration":
        """From JSON values.

        Raises:
            InvalidError: they are not a calibration.
        """
        try:
            level_8, level_7, match_8, match_7 = (Curve.of(document[name]) for name in _SINGLE)
            agree, both = (tuple(Curve.of(curve) for curve in document[name]) for name in ("agree", "both"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidError(f"its calibration is not understood: {error}") from error
        return cls(level_8, level_7, match_8, match_7, agree, both)


def isotonic(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> Curve:
    """Return the never falling curve that fits best, in bins that are finest at the highest scores.

    Most pairs are dissimilar, and what matters is the few at the top: the bins' sizes grow geometrically
    from there.

    Args:
        scores: floating [n], n >= 1.
        truth: bool [n].

    Returns:
        A curve of at most `KNOTS` knots.

    Raises:
        InvalidError: nothing to measure on.
    """
    if scores.size == 0 or scores.shape != truth.shape:
        raise InvalidError("calibration needs pairs, and as many truths as scores")
    order = np.argsort(scores, kind="stable")
    counts = _bin_sizes(scores.size)[::-1]
    starts = np.cumsum(counts) - counts
    x = np.add.reduceat(scores[order].astype(np.float64), starts) / counts
    y = np.add.reduceat(truth[order].astype(np.float64), starts) / counts
    risen = _never_falling(y, counts.astype(np.float64))
    return Curve(tuple(np.round(x, 5).tolist()), tuple(np.round(risen, 5).tolist()))


def _bin_sizes(count: int) -> npt.NDArray[np.int64]:
    """Sizes of at most `KNOTS` bins, the first the smallest, that sum to count."""
    if count <= FEWEST:
        return np.asarray([count], dtype=np.int64)
    edges = np.unique(np.geomspace(FEWEST, count, min(KNOTS, count // FEWEST)).round().astype(np.int64))
    edges[-1] = count
    return np.asarray(np.diff(np.concatenate([[0], edges])), dtype=np.int64)


def _never_falling(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted isotonic regression by pooling neighbours that fall."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (a, m, i), (b, n, j) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n, i + j)]
    return np.concatenate([np.full(length, value) for value, _, length in pools])
