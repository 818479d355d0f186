"""Sources: the episodes of one category at a site that one machine, dog, siren or voice made.

The identity of an episode is that of its clearest clip. A source has centres, each the mean of identities of its
episodes; it has one, or several if a person stated that two sources are the same. P(same source) of an episode and a
source is calibrated on two clips; here the cosine is the mean of the cosines with all episodes of a centre, which is
the inner product with the centre, and of several centres the highest counts.

Rules, in the order in which they are applied to an episode (`hub.domain.source_partition`):

1. It joins the source with the highest P(same source), if that reaches a threshold.
2. Else it opens a source.
3. Two sources become one if P(same source) of two of their centres reaches the threshold, unless a person stated that
   they are different, or both are kept, as those with a name are.
4. If a clearer clip changes an episode's identity, the episode stays in its source if P(same source) of the new
   identity and the others reaches the threshold; else 1. and 2. apply to it again.
5. The number of sources is limited. To open one more, the one with the fewest episodes is removed, of equals the
   one detected longest ago, but none that is kept.

If within each source all cosines reach the threshold, and between sources none does, then the episodes make the same
sources in whatever order they come: a mean of cosines is on the same side as all of them.

Source: Sokal and Michener 1958 (average linkage); Wagstaff et al. 2001 (must-link and cannot-link).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Same = Callable[[Vector], Vector]
"""From cosines, float32 [n], to P(same source), float32 [n]; never falls."""

MOST: Final = 200
"""Sources of one site, category and feature space."""
MOST_CENTRES: Final = 8
"""Centres of one source; beyond them the two closest become one."""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """The rule by which an episode belongs to a source.

    Attributes:
        join: P(same source) from which it does, in [0, 1].
        most: sources at most; see rule 5.
    """

    join: float = 0.6
    most: int = MOST


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """One way in which a source sounds.

    Attributes:
        id: of the source that opened with it.
        total: float32 [values], the sum of identities.
        size: how many were summed; 0 only where the centre is about to be removed.
        mean: float32 [values], no longer than 1: its inner product with an identity is a mean of cosines.
    """

    id: str
    total: Vector
    size: int = 1
    mean: Vector = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", np.asarray(self.total / np.float32(max(self.size, 1)), dtype=np.float32))

    def plus(self, total: Vector, size: int = 1) -> "Centre":
        """Return the centre with further identities, whose sum is given; with a size below 0, less those."""
        return Centre(self.id, np.asarray(self.total + np.sign(size) * total, dtype=np.float32), self.size + size)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Return the key of a source.

    Attributes:
        id: ten hexadecimal digits.
        centres: at least one.
        last_ms: when its latest episode so far opened, ms since 1970 UTC.
        apart: ids of sources that a person stated are others.
        kept: whether it is never removed, and becomes one with another kept one only by a person's verdict.
    """

    id: str
    centres: tuple[Centre, ...]
    last_ms: int = 0
    apart: frozenset[str] = frozenset()
    kept: bool = False

    @property
    def size(self) -> int:
        """Number of identities that its centres are made of."""
        return sum(centre.size for centre in self.centres)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An episode that is to be filed.

    Attributes:
        episode: its id.
        opened_ms: when it opened, ms since 1970 UTC.
        clip: the event whose identity it has.
        identity: float32 [values], of length 1.
    """

    episode: str
    opened_ms: int
    clip: str
    identity: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """An episode that was filed.

    Attributes:
        episode: its id.
        source: id of its source when it was filed; that may be a part of another by now.
        centre: id of the centre that its identity was added to.
        clip: the event whose identity it has.
        identity: float32 [values], of length 1.
        probability: P(same source) of it and the nearest source without it, when it was filed.
        fixed: whether a person stated that it belongs there: it is not filed again.
    """

    episode: str
    source: str
    centre: str
    clip: str
    identity: Vector
    probability: float
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Nearest:
    """The source that is most likely an identity's.

    Attributes:
        source: its id; "" if there is none at all.
        centre: id of its centre that is nearest.
        probability: P(same source), in [0, 1].
    """

    source: str = ""
    centre: str = ""
    probability: float = 0.0


def nearest(identity: Vector, sources: Iterable[Source], same: Same) -> Nearest:
    """Find the source with the highest P(same source); of equals the one that comes first.

    Args:
        identity: float32 [values], of length 1; or a mean of such.
        sources: those to choose from.
        same: from cosines to P(same source).
    """
    pairs = [(source.id, centre) for source in sources for centre in source.centres]
    if not pairs:
        return Nearest()
    cosines = np.stack([centre.mean for _, centre in pairs]) @ identity
    best = int(cosines.argmax())
    source, centre = pairs[best]
    return Nearest(source, centre.id, float(same(cosines[best : best + 1])[0]))


def exemplars(source: Source, members: Sequence[Member], count: int) -> list[Member]:
    """Choose the episodes that sound most like a source: those nearest to its centres, the nearest first.

    Args:
        source: of the members.
        members: those to choose from; of equals the first.
        count: how many at most.
    """
    centres = {centre.id: centre.mean for centre in source.centres}
    first = source.centres[0].mean

    def cosine(member: Member) -> float:
        return float(centres.get(member.centre, first) @ member.identity)

    return sorted(members, key=cosine, reverse=True)[:count]
