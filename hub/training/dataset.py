"""Data sets for training and evaluation: features and labels side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import Labels
from shared.errors import InvalidError
from shared.feature_space import Features, FeatureSpace
from shared.taxonomy import COUNT

SoftLabels = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Clips of one feature space.

    Attributes:
        space: the feature space.
        features: uint8 [n, frames, dimension].
        labels: uint8 [n, 8] of 0 and 1, in the order of `shared.taxonomy.CATEGORIES`.
        groups: str [n]: what must not be split between training and test (sensor, fold), "" if nothing.
        fine: finer labels, or None: uint8 [n, m] of 0 and 1, of the source's own (AudioSet's 527), or soft ones,
            float16 [n, m] in [0, 1], the probabilities that a teacher gives (YAMNet's 521).
        domain: bool [n]: clips like those that will be searched; the others only help to learn. None: all are.
        versions: uint8 [n, v, frames, dimension]: the same clips, louder, quieter, filtered or in noise; only
            training looks at them. None: there are none.
        sources: str [n]: which machine, dog or voice a clip holds; equal text means the same source, "" is unknown.
            None: all are unknown.

    Raises:
        InvalidError: shapes that do not fit together.
    """

    space: FeatureSpace
    features: npt.NDArray[np.uint8]
    labels: Labels
    groups: npt.NDArray[np.str_]
    fine: Labels | SoftLabels | None = None
    domain: npt.NDArray[np.bool_] | None = None
    versions: npt.NDArray[np.uint8] | None = None
    sources: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.features.dtype != np.uint8 or self.features.shape[1:] != self.space.shape:
            raise InvalidError(f"features {list(self.features.shape)} are not of {self.space.id}")
        if self.labels.shape != (n, COUNT) or self.labels.dtype != np.uint8 or self.groups.shape != (n,):
            raise InvalidError(f"{n} clips want uint8 labels [{n}, {COUNT}] and {n} groups")
        if n and int(self.labels.max()) > 1:
            raise InvalidError("labels are 0 or 1")
        if self.fine is not None:
            _check_fine(self.fine, n)
        if self.domain is not None and (self.domain.shape != (n,) or self.domain.dtype != np.bool_):
            raise InvalidError(f"{n} clips want a domain of {n} booleans")
        if self.versions is not None:
            found = self.versions.shape
            if self.versions.dtype != np.uint8 or found[:1] + found[2:] != (n, *self.space.shape):
                raise InvalidError(f"{n} clips want uint8 versions [{n}, v, frames, dimension], got {list(found)}")
        if self.sources is not None and self.sources.shape != (n,):
            raise InvalidError(f"{n} clips want {n} sources, got {list(self.sources.shape)}")

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Dataset":
        """Return the clips of an index or mask, as a data set."""
        return Dataset(
            self.space,
            self.features[index],
            self.labels[index],
            self.groups[index],
            None if self.fine is None else self.fine[index],
            None if self.domain is None else self.domain[index],
            None if self.versions is None else self.versions[index],
            None if self.sources is None else self.sources[index],
        )

    @property
    def in_domain(self) -> npt.NDArray[np.bool_]:
        """The clips that are of the domain: bool [n]."""
        return np.ones(len(self), dtype=np.bool_) if self.domain is None else self.domain

    @property
    def source_of_each(self) -> npt.NDArray[np.str_]:
        """The source of each clip: str [n], "" where it is unknown."""
        return np.full(len(self), "") if self.sources is None else self.sources


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Several data sets of one feature space as one; fine labels survive only if all have as many.

    Versions survive if one has them; a clip without has itself instead.

    Raises:
        InvalidError: none given, or of different feature spaces.
    """
    if not parts:
        raise InvalidError("no data given")
    if len({part.space.id for part in parts}) > 1:
        raise InvalidError("data sets of different feature spaces cannot be joined")
    fine = [part.fine for part in parts if part.fine is not None]
    alike = len(fine) == len(parts) and len({labels.shape[1] for labels in fine}) == 1
    divided = any(part.domain is not None for part in parts)
    named = any(part.sources is not None for part in parts)
    return Dataset(
        parts[0].space,
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
        cast("Labels | SoftLabels", np.concatenate(fine)) if alike else None,
        np.concatenate([part.in_domain for part in parts]) if divided else None,
        _joined_versions(parts),
        np.concatenate([part.source_of_each for part in parts]) if named else None,
    )


def _joined_versions(parts: Sequence[Dataset]) -> npt.NDArray[np.uint8] | None:
    most = max(0 if part.versions is None else part.versions.shape[1] for part in parts)
    if most == 0:
        return None
    given = [part.features[:, None] if part.versions is None else part.versions for part in parts]
    return np.concatenate([one[:, np.arange(most) % one.shape[1]] for one in given])


def _check_fine(fine: Labels | SoftLabels, n: int) -> None:
    if fine.ndim != 2 or len(fine) != n or fine.dtype not in {np.dtype(np.uint8), np.dtype(np.float16)}:
        raise InvalidError(
            f"{n} clips want uint8 or float16 fine labels [{n}, m], got {fine.dtype} {list(fine.shape)}"
        )
    if fine.dtype == np.float16 and not bool(((fine >= 0.0) & (fine <= 1.0)).all()):
        raise InvalidError("soft fine labels lie in [0, 1]")


def split_by_group(data: Dataset, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
    """Set a part of the domain aside without dividing a group; clips without a group are divided one by one.

    Args:
        data: what to split.
        fraction: about this share of the domain's clips is set aside, in (0, 1).
        rng: source of randomness.

    Returns:
        The rest, and the part set aside with all clips of its groups; neither is empty.

    Raises:
        InvalidError: too few clips or groups to split.
    """
    names = np.where(data.groups == "", np.arange(len(data)).astype(str), data.groups)
    unique, counts = np.unique(names[data.in_domain], return_counts=True)
    order = rng.permutation(len(unique))
    before = np.cumsum(counts[order]) - counts[order]
    mask = np.isin(names, unique[order[before < fraction * counts.sum()]])
    if not mask.any() or mask[data.in_domain].all():
        raise InvalidError(f"{len(data)} clips in {len(unique)} groups are too few to set {fraction:.0%} aside")
    return data.take(~mask), data.take(mask)


def without(data: Dataset, groups: Iterable[str]) -> tuple[Dataset, Dataset]:
    """Hold groups out.

    Returns:
        The other clips, and the clips of these groups.

    Raises:
        InvalidError: a group of which there is no clip.
    """
    names = list(groups)
    if unknown := set(names) - set(data.groups.tolist()):
        raise InvalidError(f"no clips of {sorted(unknown)}; groups: {sorted(set(data.groups.tolist()))}")
    held = np.isin(data.groups, names)
    return data.take(~held), data.take(held)


def with_domain(data: Dataset) -> Dataset:
    """Return the same clips, those of sensors as the domain, unless it is known or no sensor is named.

    Synthetic scenes and single sounds then only help to learn.
    """
    of_sensors = np.char.startswith(data.groups, "sensor-")
    return data if data.domain is not None or not of_sensors.any() else replace(data, domain=of_sensors)


def assembled(
    space: FeatureSpace,
    features: Sequence[Features],
    labels: Sequence[Sequence[int]],
    groups: Sequence[str],
    fine: Sequence[Sequence[int]] | None = None,
    versions: Sequence[Features] = (),
) -> Dataset:
    """Clips read one by one as a data set; arguments as its attributes, one item per clip.

    Versions of no clip, or none of any clip, are none.
    """
    return Dataset(
        space,
        np.asarray(features, dtype=np.uint8).reshape(-1, *space.shape),
        np.asarray(labels, dtype=np.uint8).reshape(-1, COUNT),
        np.asarray(groups, dtype=np.str_),
        None if fine is None else np.asarray(fine, dtype=np.uint8).reshape(len(fine), -1),
        versions=np.stack(versions) if any(map(len, versions)) else None,
    )
