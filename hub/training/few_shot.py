"""Few-shot classification: how many examples a class needs until clips of other recordings are recognised.

1. One fold is asked; from the other folds a few examples of each class are drawn, many times.
2. `nearest-mean`: a clip is of the class whose examples' mean vector is nearest by cosine.
   `nearest-example`: of the class of the nearest example.
3. `same-class`: whether the best match among all clips of the other folds is of the same class.

Vectors are identities (`<checkpoint>-source`) or mean embeddings (`cosine`). The draws are the same for all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.training.evaluation import interval
from shared.errors import InvalidError

EXAMPLES: Final = (1, 3, 5)
DRAWS: Final = 50
ALL: Final = "all"

Floats = npt.NDArray[np.float32]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Clips of classes, in folds that have no recording in common.

    Attributes:
        names: str [n], the class of each clip.
        folds: str [n], its fold.

    Raises:
        InvalidError: fewer than two folds or classes.
    """

    names: npt.NDArray[np.str_]
    folds: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        if min(len(set(self.names.tolist())), len(set(self.folds.tolist()))) < 2:
            raise InvalidError("few-shot classification needs two classes and two folds at least")

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The class of each clip as a number, in the order of the names: int64 [n]."""
        return np.asarray(np.unique(self.names, return_inverse=True)[1], dtype=np.int64)

    def draw(self, fold: str, examples: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Examples of each class, of other folds than this: rows int64 [classes, examples].

        Raises:
            InvalidError: a class has fewer.
        """
        numbers, others = self.numbers, self.folds != fold
        rows = [np.flatnonzero(others & (numbers == number)) for number in range(int(numbers.max()) + 1)]
        if (fewest := min(map(len, rows))) < examples:
            raise InvalidError(f"a class has {fewest} clips outside {fold}: too few for {examples} examples")
        return np.stack([rng.choice(found, examples, replace=False) for found in rows])


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One figure of a method.

    Attributes:
        method: its name.
        rule: `nearest-mean`, `nearest-example` or, of the best match among all clips, `same-class`.
        examples: of each class; 0: all clips of the other folds.
        fold: that was asked, or `all`.
        accuracy: share of the clips whose class was recognised, draws averaged.
        low: lower end of its 95 % interval, by bootstrap over the clips.
        high: upper end.
    """

    method: str
    rule: str
    examples: int
    fold: str
    accuracy: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values; figures to four digits."""
        entry: dict[str, Any] = {"method": self.method, "measure": "few-shot", "rule": self.rule}
        entry |= {"examples": self.examples, "fold": self.fold}
        if self.examples == 0:
            entry = {"method": self.method, "measure": self.rule, "K": 1, "fold": self.fold}
        figures = {"accuracy": self.accuracy, "low": self.low, "high": self.high}
        return entry | {name: round(value, 4) for name, value in figures.items()}


def few_shot(
    classes: Classes, vectors: Mapping[str, Floats], *, draws: int = DRAWS, seed: int = 0
) -> Iterator[Accuracy]:
    """Accuracy of each method with 1, 3 and 5 examples a class, over all folds and in each.

    Args:
        classes: of n clips.
        vectors: per method, unit vectors of the clips, float32 [n, values].
        draws: how often examples are drawn.
        seed: of the draws.
    """
    numbers = classes.numbers
    for examples in EXAMPLES:
        right: dict[tuple[str, str], Shares] = {}
        rng = np.random.default_rng([seed, examples])
        for fold in sorted(set(classes.folds.tolist())):
            asked = np.flatnonzero(classes.folds == fold)
            for _ in range(draws):
                drawn = classes.draw(fold, examples, rng)
                for method, own in vectors.items():
                    for rule, classify in RULES.items():
                        came = classify(own[asked], own[drawn]) == numbers[asked]
                        right.setdefault((method, rule), np.zeros(len(numbers)))[asked] += came / draws
        for (method, rule), shares in right.items():
            yield from _accuracies(method, rule, examples, classes, shares)


def best_matches(classes: Classes, scores: Mapping[str, Floats]) -> Iterator[Accuracy]:
    """Return the share of best matches in another fold that are of the same class, over all folds and in each.

    Args:
        classes: of n clips.
        scores: per method, of each clip (row) and each that may be found, float32 [n, n].
    """
    numbers, same_fold = classes.numbers, classes.folds[:, None] == classes.folds[None]
    for method, found in scores.items():
        best = np.where(same_fold, -np.inf, found).argmax(axis=1)
        yield from _accuracies(method, "same-class", 0, classes, (numbers[best] == numbers).astype(np.float64))


def nearest_mean(queries: Floats, examples: Floats) -> npt.NDArray[np.int64]:
    """Return the class whose examples' mean is nearest by cosine.

    Args:
        queries: unit vectors float32 [q, values].
        examples: unit vectors float32 [classes, m, values].

    Returns:
        int64 [q].
    """
    means = examples.mean(axis=1)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.asarray((queries @ means.T).argmax(axis=1), dtype=np.int64)


def nearest_example(queries: Floats, examples: Floats) -> npt.NDArray[np.int64]:
    """Return the class of the nearest example by cosine; arguments as of `nearest_mean`."""
    return np.asarray((examples @ queries.T).max(axis=1).argmax(axis=0), dtype=np.int64)


RULES: Final = {"nearest-mean": nearest_mean, "nearest-example": nearest_example}


def _accuracies(method: str, rule: str, examples: int, classes: Classes, right: Shares) -> Iterator[Accuracy]:
    for fold in (ALL, *sorted(set(classes.folds.tolist()))):
        shares = right if fold == ALL else right[classes.folds == fold]
        yield Accuracy(method, rule, examples, fold, float(shares.mean()), *interval(shares))
