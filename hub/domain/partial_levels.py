"""Partial levels: how much of an hour's sound energy came in clips of each category. No I/O.

1. A category *dominates* a clip if its presence is at least 0.5 and at least twice that of every other category.
   The share of the clip's energy that equals the presence counts as of the category; the rest counts as `other`.
2. A clip with a presence of at least 0.5 but without a dominant category counts as `mixed`: the energy of one sound
   in a mixture is not known.
3. A clip without any category counts as `other`; seconds with levels but without a clip as `no-clip`.
4. A second of two clips belongs to the later one. The clips of an hour never have more energy than the hour.
5. The *partial level* of a category is the level of its energy over the valid time of the hour. So the partial levels
   of an hour add up to its LAeq. Source: ISO 1996-1:2016, 3.4 (specific sound), of which it is an upper bound: it
   includes the background of the clip.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.domain.level_rows import HOUR_S
from hub.domain.match import PRESENCE_THRESHOLD
from shared.events import LevelUnit
from shared.taxonomy import CATEGORIES

MIXED, OTHER, NO_CLIP = "mixed", "other", "no-clip"
PARTS: Final = (*CATEGORIES, MIXED, OTHER, NO_CLIP)
"""The parts of an hour's energy, in order."""
_DOMINANCE: Final = 2.0
_COVERED: Final = 0.99
"""From this share of the valid time on, clips count as of the whole hour: their times are exact to about a second."""


@dataclass(frozen=True, slots=True)
class ClipLevel:
    """The level of a clip and what it contains.

    Attributes:
        start_s: its begin, in seconds since 1970 UTC.
        duration_s: its length in seconds, above 0.
        laeq: its level in `unit`.
        unit: dB or dBFS.
        presence: probability of each category, [8], in [0, 1].
    """

    start_s: float
    duration_s: float
    laeq: float
    unit: LevelUnit
    presence: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PartialLevels:
    """The energy of an hour by part.

    Attributes:
        start_s: begin of the hour, in seconds since 1970 UTC.
        laeq: its level in `unit`; None without a valid second.
        valid_s: seconds with levels.
        unit: of the levels.
        shares: share of the energy of each part that has any, in (0, 1]; they add up to 1.
    """

    start_s: int
    laeq: float | None
    valid_s: int
    unit: LevelUnit
    shares: Mapping[str, float]

    @property
    def levels(self) -> dict[str, float]:
        """Return the partial level of each part in `unit`."""
        laeq = self.laeq
        return {} if laeq is None else {name: laeq + 10.0 * math.log10(part) for name, part in self.shares.items()}


def partial_levels(
    start_s: int, laeq: float | None, valid_s: int, unit: LevelUnit, clips: Sequence[ClipLevel]
) -> PartialLevels:
    """Return the partial levels of an hour.

    Args:
        start_s: begin of the hour, in seconds since 1970 UTC.
        laeq: its level in `unit`; None without a valid second.
        valid_s: seconds with levels.
        unit: of the level; clips in another unit count as none.
        clips: clips of the same sensor, in any order; parts of them outside the hour are left out.
    """
    if laeq is None or not valid_s:
        return PartialLevels(start_s, None, 0, unit, {})
    energies = dict.fromkeys(PARTS, 0.0)
    covered_s = 0.0
    end_s = float(start_s + HOUR_S)
    for clip in sorted(clips, key=lambda one: one.start_s, reverse=True):
        begin_s, until_s = max(clip.start_s, float(start_s)), min(clip.start_s + clip.duration_s, end_s)
        if until_s <= begin_s or clip.unit != unit:
            continue
        end_s = begin_s
        covered_s += until_s - begin_s
        energy = (until_s - begin_s) * 10.0 ** ((clip.laeq - laeq) / 10.0)
        for name, share in clip_shares(clip.presence).items():
            energies[name] += share * energy
    attributed = sum(energies.values())
    if covered_s < _COVERED * valid_s:
        energies[NO_CLIP] = max(0.0, valid_s - attributed)
    total = sum(energies.values())
    shares = {name: energy / total for name, energy in energies.items() if energy > 0.0}
    return PartialLevels(start_s, laeq, valid_s, unit, shares)


def clip_shares(presence: Sequence[float]) -> dict[str, float]:
    """Return the share of a clip's energy that each part gets.

    Args:
        presence: probability of each category, [8].
    """
    highest, second = sorted(presence, reverse=True)[:2]
    if highest < PRESENCE_THRESHOLD:
        return {OTHER: 1.0}
    if highest < _DOMINANCE * second:
        return {MIXED: 1.0}
    return {CATEGORIES[presence.index(highest)]: highest, OTHER: 1.0 - highest}
