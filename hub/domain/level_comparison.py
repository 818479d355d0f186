"""Comparison of the levels of two periods, at one sensor or at two. No I/O.

1. A period has whole days, each from 07:00 to 07:00, local time (`hub.domain.day_levels`).
2. LAeq is the energetic mean of its seconds; Lday, Levening, Lnight and Lden are those of its complete days.
3. L10 and L90 are arithmetic means of those of its hours of UTC. Only hours with 75 % of their time count.
   Source: Calculation of Road Traffic Noise (UK Department of Transport, 1988), whose L10 of 18 h is such a mean.
4. A difference needs two periods with levels for 75 % of their time, in the same unit. Levels in dBFS compare only at
   one sensor, because every microphone has another sensitivity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from hub.domain.day_levels import MIN_VALID_SHARE, DayLevels, PeriodLevel, long_term
from hub.domain.level_rows import HOUR_S, STATISTICS, LevelTable
from shared.events import LevelUnit

QUANTITIES: Final = ("laeq", "l10", "l90", "lday", "levening", "lnight", "lden")
_OF_DAYS: Final = ("lday", "levening", "lnight")
_SAME_DB: Final = 1.0
_PERCEPTION: Final = (
    (3.0, "Most people do not notice such a difference"),
    (5.0, "People barely notice such a difference"),
    (10.0, "People readily notice such a difference"),
    (20.0, "People perceive about twice the loudness"),
    (float("inf"), "People perceive more than four times the loudness"),
)
"""What people notice of a difference below each number of dB.

Source: Highway Traffic Noise: Analysis and Abatement Guidance (FHWA-HEP-10-025): 3 dB is barely perceptible, 5 dB
readily perceptible, 10 dB twice as loud.
"""


@dataclass(frozen=True, slots=True)
class PeriodLevels:
    """The levels of a period at a sensor.

    Attributes:
        place: `site/sensor`.
        first: date on which the first day begins.
        last: date on which the last day begins.
        whole: all of it.
        unit: of the levels.
        levels: each of `QUANTITIES` in `unit`; None if it is not known.
        calibrations: ids of the calibrations that apply to its levels, the oldest first.
    """

    place: str
    first: date
    last: date
    whole: PeriodLevel
    unit: LevelUnit
    levels: Mapping[str, float | None]
    calibrations: Sequence[str]

    @property
    def days(self) -> int:
        """Return the number of days."""
        return (self.last - self.first).days + 1

    @property
    def valid_share(self) -> float:
        """Return the share of the time with levels, in [0, 1]."""
        return self.whole.valid_s / (self.whole.end_s - self.whole.start_s)


@dataclass(frozen=True, slots=True)
class LevelComparison:
    """Two periods and their difference.

    Attributes:
        period: the first period.
        other: the one that it is compared with.
        differences: levels of `period` less those of `other`, in dB; None of what cannot be compared.
        reasons: why nothing can be compared, in sentences; empty if something can.
        cautions: what else may explain a difference, in sentences.
        summary: what the difference of the LAeq means, or that there is none, in a sentence.
    """

    period: PeriodLevels
    other: PeriodLevels
    differences: Mapping[str, float | None]
    reasons: Sequence[str]
    cautions: Sequence[str]
    summary: str


def period_levels(
    place: str, days: Sequence[DayLevels], hours: LevelTable, unit: LevelUnit, calibrations: Sequence[str]
) -> PeriodLevels:
    """Return the levels of a period.

    Args:
        place: `site/sensor`.
        days: its days, in order, at least one.
        hours: statistics of the hours of UTC within it.
        unit: of the levels of the days; percentiles in another unit are left out.
        calibrations: ids of the calibrations that apply, the oldest first.
    """
    whole = _joined([day.whole for day in days])
    levels: dict[str, float | None] = {"laeq": whole.level}
    counted = hours.seconds >= MIN_VALID_SHARE * HOUR_S
    for name in ("l10", "l90"):
        known = hours.levels[counted, STATISTICS.index(name)]
        known = known[np.isfinite(known)]
        levels[name] = float(known.mean()) if known.size and hours.unit == unit else None
    for name in _OF_DAYS:
        levels[name] = long_term([getattr(day, name).stated for day in days])
    levels["lden"] = long_term([day.lden for day in days])
    return PeriodLevels(place, days[0].day, days[-1].day, whole, unit, levels, tuple(calibrations))


def compare(period: PeriodLevels, other: PeriodLevels) -> LevelComparison:
    """Return the comparison of a period with another one."""
    both = (period, other)
    reasons = _reasons(both)
    differences = {name: None if reasons else _difference(period, other, name) for name in QUANTITIES}
    if reasons:
        return LevelComparison(period, other, differences, reasons, (), "The two cannot be compared.")
    return LevelComparison(period, other, differences, (), _cautions(both), _summary(differences["laeq"]))


def clock_levels(
    table: LevelTable, local_s: Sequence[int], length_s: int, period_s: int
) -> tuple[list[float | None], list[bool]]:
    """Return the LAeq of each period of a local clock; of an hour that the clock has twice, the mean of both.

    Args:
        table: statistics of minutes or hours.
        local_s: begin of each by the local clock, in seconds since the begin of the first period.
        length_s: length of all periods together.
        period_s: length of each.

    Returns:
        The LAeq of each period, None without a level, and whether the clock has the period at all.
    """
    count = length_s // period_s
    slots = np.asarray(local_s, dtype=np.int64) // period_s
    inside = (slots >= 0) & (slots < count)
    slots, levels, seconds = slots[inside], table.levels[inside, 0], table.seconds[inside]
    energies = np.where(seconds > 0, 10.0 ** (levels / 10.0) * seconds, 0.0)
    energy, valid = np.bincount(slots, energies, count), np.bincount(slots, seconds, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 10.0 * np.log10(energy / valid)
    present = np.bincount(slots, minlength=count) > 0
    return [float(level) if np.isfinite(level) else None for level in found], present.tolist()


def _joined(wholes: Sequence[PeriodLevel]) -> PeriodLevel:
    known = [one for one in wholes if one.level is not None]
    start_s, end_s = wholes[0].start_s, wholes[-1].end_s
    valid_s = sum(one.valid_s for one in known)
    if not known:
        return PeriodLevel(start_s, end_s, None, None, 0)
    energy = sum(10.0 ** ((one.level or 0.0) / 10.0) * one.valid_s for one in known)
    lafmax = max((one.lafmax for one in known if one.lafmax is not None), default=None)
    return PeriodLevel(start_s, end_s, 10.0 * float(np.log10(energy / valid_s)), lafmax, valid_s)


def _difference(period: PeriodLevels, other: PeriodLevels, name: str) -> float | None:
    one, two = period.levels[name], other.levels[name]
    return None if one is None or two is None else one - two


def _reasons(both: tuple[PeriodLevels, PeriodLevels]) -> list[str]:
    reasons = [
        f"{_name(number)} has levels for {100 * one.valid_share:.0f} % of its time; a comparison needs 75 %."
        for number, one in enumerate(both)
        if not one.whole.complete
    ]
    one, two = both
    if not (one.whole.valid_s and two.whole.valid_s):
        return reasons
    if one.unit != two.unit:
        reasons.append(
            f"The first is in {one.unit}, the second in {two.unit}: levels of a sensor without a calibration compare "
            "with no others."
        )
    elif one.unit == "dBFS" and one.place != two.place:
        reasons.append("Neither sensor is calibrated: levels in dBFS compare only at the same sensor.")
    return reasons


def _cautions(both: tuple[PeriodLevels, PeriodLevels]) -> list[str]:
    one, two = both
    cautions = []
    if one.days != two.days:
        longer, shorter = ("first", "second") if one.days > two.days else ("second", "first")
        cautions.append(
            f"The {longer} has {_count(max(one.days, two.days))}, the {shorter} {_count(min(one.days, two.days))}: "
            "a single loud event raises a mean of fewer days more."
        )
    if one.unit == "dBFS":
        cautions.append("The sensor is not calibrated: a change of its gain or microphone also changes its levels.")
    elif one.place == two.place and set(one.calibrations) != set(two.calibrations):
        cautions.append("The calibrations differ: a part of the difference may come from them, not from the sound.")
    cautions += [
        f"{_name(number)} has {len(period.calibrations)} calibrations: its levels before and after each new one may "
        "differ for that reason alone."
        for number, period in enumerate(both)
        if len(period.calibrations) > 1
    ]
    return cautions


def _summary(difference_db: float | None) -> str:
    """State what a difference of LAeq means, from its value rounded to 0.1 dB, as it is shown."""
    if difference_db is None:
        return "The two cannot be compared."
    size = abs(round(difference_db, 1))
    if size < _SAME_DB:
        return f"Both are about equally loud: the LAeq differ by {size:.1f} dB."
    way = "louder" if difference_db > 0 else "quieter"
    times = 10.0 ** (size / 10.0)
    ratio = f"{times:.1f}" if times < 10.0 else f"{times:.0f}"
    energy = f"{ratio} times the sound energy" if difference_db > 0 else f"1/{ratio} of the sound energy"
    noticed = next(text for below, text in _PERCEPTION if size < below)
    return f"The first is {size:.1f} dB {way} than the second by LAeq: {energy} in the same time. {noticed}."


def _name(number: int) -> str:
    return ("The first", "The second")[number]


def _count(days: int) -> str:
    return f"{days} day{'s' if days != 1 else ''}"
