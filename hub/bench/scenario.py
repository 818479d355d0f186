"""Days in a street as they might be: what sounds when, and which clips its sensors send of it.

1. Two sources are planted. A jackhammer, always the same, works on nine of ten weekdays from about 7:00 near the
   first sensor, and the second hears it faintly. A saw, always the same, runs every other night from about 23:00 near
   the last one.
2. Beside them each sensor hears short happenings of all other kinds, and of the same two kinds by other machines,
   each a source that never comes back; and vehicles of a fleet, as a happening or in passing.
3. A sensor sends the clips in which something happens, a background clip a quarter of an hour, and now and then one
   in which nothing is to be heard.

Everything is a pure function of its generator. Times are seconds from the first midnight, a Monday's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.synthetic_mixture import CLIP_S, SourceInstance
from shared.taxonomy import CATEGORIES

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
BACKGROUND_EVERY_S: Final = 900
JACKHAMMER: Final = "jackhammer"
SAW: Final = "saw"
KINDS: Final = {JACKHAMMER: "machinery-impact", SAW: "powered-saw"}
"""The category of each planted source."""
FAINT_DB: Final = 5.0
"""How far over the background the second sensor hears the jackhammer."""
PERFORMANCES: Final = 240
"""Clips that are heard of what comes again and again: planted sources and the background alone."""
_OF_FLEET: Final = 6
_OF_NOISE: Final = 2
_WORKS: Final = 0.9
"""Share of weekdays on which the jackhammer works."""
_VEHICLES: Final = 40
_DAYTIME: Final = (6, 22)
_BY_DAY: Final = 0.85
"""Share of noise that happens in daytime."""
_PASSING: Final = 0.3
"""Share of daytime background clips in which a vehicle passes."""

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """Something that sounds for a while.

    Attributes:
        name: of its own, the same at all sensors.
        planted: `JACKHAMMER`, `SAW` or "".
        heard: by each sensor that hears it.
        bouts: when it sounds: begin and end, s; rising, apart from each other.
        triggers: whether sensors send clips because of it.
    """

    name: str
    planted: str
    heard: tuple[tuple[int, SourceInstance], ...]
    bouts: tuple[tuple[float, float], ...]
    triggers: bool = True

    @property
    def category(self) -> str:
        """What it is."""
        return self.heard[0][1].category

    @property
    def begin_s(self) -> float:
        """Its first instant."""
        return self.bouts[0][0]

    @property
    def end_s(self) -> float:
        """Its last."""
        return self.bouts[-1][1]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that a sensor sends.

    Attributes:
        sensor: its number, from 0.
        at_s: its beginning.
        night: whether the background is that of the night.
        sounds: what is in it beside the background, sorted.
        happenings: names of those it belongs to.
    """

    sensor: int
    at_s: float
    night: bool
    sounds: tuple[SourceInstance, ...]
    happenings: tuple[str, ...]

    @property
    def labels(self) -> frozenset[str]:
        """The categories that are truly in it."""
        return frozenset(sound.category for sound in self.sounds)


def generate_scenario(days: int, sensors: int, rng: Random) -> list[ScenarioEvent]:
    """All that happens, in order.

    Args:
        days: from 1.
        sensors: from 1; the jackhammer is near the first, the saw near the last.
        rng: source of all randomness.
    """
    hammer, saw = (int(one) for one in rng.integers(2**32, size=2))
    made = list(_jackhammers(days, sensors, hammer, rng))
    made += _saws(days, sensors - 1, saw, rng)
    fleet = [
        SourceInstance("engine", int(rng.integers(2**32)), float(rng.uniform(6.0, 18.0)), _OF_FLEET)
        for _ in range(_VEHICLES)
    ]
    for sensor in range(sensors):
        for day in range(days):
            made += _noise(sensor, day, rng)
            made += _vehicles(sensor, day, fleet, rng)
    return sorted(made, key=lambda happening: happening.begin_s)


def _jackhammers(days: int, sensors: int, character: int, rng: Random) -> Iterator[ScenarioEvent]:
    """On most weekdays from 7:00, give or take twenty minutes, for 20 to 60 minutes."""
    near, faint = (SourceInstance(KINDS[JACKHAMMER], character, db, PERFORMANCES) for db in (16.0, FAINT_DB))
    heard = ((0, near), (1, faint)) if sensors > 1 else ((0, near),)
    for day in range(days):
        works, late_s, length_s = rng.random() < _WORKS, rng.uniform(-1_200, 1_200), rng.uniform(1_200, 3_600)
        if day % 7 < 5 and works:
            begin = day * DAY_S + 7 * HOUR_S + late_s
            yield ScenarioEvent(f"{JACKHAMMER}-{day}", JACKHAMMER, heard, _bouts(begin, length_s, (60, 240), rng))


def _saws(days: int, sensor: int, character: int, rng: Random) -> Iterator[ScenarioEvent]:
    """Every other night from 23:00, give or take ten minutes, for 10 to 20 minutes."""
    sound = SourceInstance(KINDS[SAW], character, 16.0, PERFORMANCES)
    for day in range(0, days, 2):
        begin = day * DAY_S + 23 * HOUR_S + rng.uniform(-600, 600)
        bouts = _bouts(begin, rng.uniform(600, 1_200), (30, 90), rng)
        yield ScenarioEvent(f"{SAW}-{day}", SAW, ((sensor, sound),), bouts)


def _bouts(
    begin_s: float, length_s: float, on_s: tuple[float, float], rng: Random
) -> tuple[tuple[float, float], ...]:
    """Work with pauses, some of them longer than the gap within an episode."""
    made, at = [], begin_s
    while at < begin_s + length_s:
        until = min(at + rng.uniform(*on_s), begin_s + length_s)
        made.append((at, until))
        at = until + rng.uniform(15, 150)
    return tuple(made)


def _noise(sensor: int, day: int, rng: Random) -> Iterator[ScenarioEvent]:
    """15 to 25 short happenings of one day, each of a source of its own."""
    kinds = [name for name in CATEGORIES if name != "engine"]
    for number in range(int(rng.integers(15, 26))):
        hours = _DAYTIME if rng.random() < _BY_DAY else (0, 24)
        begin = day * DAY_S + rng.uniform(*hours) * HOUR_S
        sound = SourceInstance(
            kinds[int(rng.integers(len(kinds)))], int(rng.integers(2**32)), float(rng.uniform(8.0, 20.0)), _OF_NOISE
        )
        yield ScenarioEvent(
            f"noise-{sensor}-{day}-{number}", "", ((sensor, sound),), ((begin, begin + rng.uniform(10, 90)),)
        )


def _vehicles(sensor: int, day: int, fleet: Sequence[SourceInstance], rng: Random) -> Iterator[ScenarioEvent]:
    """8 to 12 vehicles of one day that idle, and those that pass while a background clip is taken."""

    def one() -> tuple[tuple[int, SourceInstance], ...]:
        return ((sensor, fleet[int(rng.integers(len(fleet)))]),)

    for number in range(int(rng.integers(8, 13))):
        begin = day * DAY_S + rng.uniform(*_DAYTIME) * HOUR_S
        yield ScenarioEvent(f"engine-{sensor}-{day}-{number}", "", one(), ((begin, begin + rng.uniform(20, 120)),))
    for begin in range(day * DAY_S + _DAYTIME[0] * HOUR_S, day * DAY_S + _DAYTIME[1] * HOUR_S, BACKGROUND_EVERY_S):
        if rng.random() < _PASSING:
            bouts = ((begin, begin + 2.0 * CLIP_S),)
            yield ScenarioEvent(f"passing-{sensor}-{begin}", "", one(), bouts, triggers=False)


def clips(happenings: Sequence[ScenarioEvent], days: int, sensors: int, rng: Random) -> list[Clip]:
    """The clips that sensors send, in the order of their times.

    A happening is in a clip if it sounds for half of it; each sensor's clips begin at a time of its own.
    """
    made = []
    for sensor in range(sensors):
        phase = sensor * CLIP_S / sensors
        sounding: dict[int, list[ScenarioEvent]] = {}
        for happening in happenings:
            if any(number == sensor for number, _ in happening.heard):
                for slot in _slots(happening, phase):
                    sounding.setdefault(slot, []).append(happening)
        sent = {slot for slot, those in sounding.items() if any(one.triggers for one in those)}
        sent |= set(range(0, days * DAY_S // CLIP_S, BACKGROUND_EVERY_S // CLIP_S))
        sent |= {int(slot) for slot in rng.integers(days * DAY_S // CLIP_S, size=5 * days)}
        for slot in sent:
            own = sounding.get(slot, [])
            sounds = {sound for one in own for number, sound in one.heard if number == sensor}
            hour = slot * CLIP_S % DAY_S / HOUR_S
            made.append(
                Clip(
                    sensor=sensor,
                    at_s=slot * CLIP_S + phase,
                    night=not _DAYTIME[0] <= hour < _DAYTIME[1],
                    sounds=tuple(sorted(sounds)),
                    happenings=tuple(one.name for one in own),
                )
            )
    return sorted(made, key=lambda clip: (clip.at_s, clip.sensor))


def _slots(happening: ScenarioEvent, phase_s: float) -> Iterator[int]:
    """The clips of a sensor that are half full of a happening."""
    for begin, end in happening.bouts:
        first, last = round((begin - phase_s) / CLIP_S), round((end - phase_s) / CLIP_S)
        yield from range(max(first, 0), last)
