"""A synthetic street: its sound events, and the clips that its sensors send of them.

1. Two sources are planted. One jackhammer works on nine of ten weekdays from about 7:00 near the first sensor, and
   is faint at the second. One saw runs every other night from about 23:00 near the last sensor.
2. Each sensor also records short sound events of all kinds, including the planted two, each from a source that never
   returns. It also records vehicles of a fleet, which idle or pass.
3. A sensor sends the clips that contain a sound event, one background clip every quarter of an hour, and about five
   clips per day at random.

Everything is a pure function of the random generator. Times are seconds from the first midnight, of a Monday.
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
"""Level of the jackhammer over the background at the second sensor, dB."""
PERFORMANCES: Final = 240
"""Different clips rendered of each planted source, and of the background alone."""
_OF_FLEET: Final = 6
_OF_NOISE: Final = 2
_WORKS: Final = 0.9
"""Share of weekdays on which the jackhammer works."""
_VEHICLES: Final = 40
_DAYTIME: Final = (6, 22)
_BY_DAY: Final = 0.85
"""Share of noise in daytime."""
_PASSING: Final = 0.3
"""Share of daytime background clips in which a vehicle passes."""

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """A sound event.

    Attributes:
        name: unique name, the same at all sensors.
        planted: `JACKHAMMER`, `SAW` or "".
        sources: number of each sensor that records it, with the source as recorded there.
        bouts: begin and end of each sounding interval, s; rising and disjoint.
        triggers: whether sensors send clips because of it.
    """

    name: str
    planted: str
    sources: tuple[tuple[int, SourceInstance], ...]
    bouts: tuple[tuple[float, float], ...]
    triggers: bool = True

    @property
    def category(self) -> str:
        """Return its category."""
        return self.sources[0][1].category

    @property
    def begin_s(self) -> float:
        """Return its begin, s."""
        return self.bouts[0][0]

    @property
    def end_s(self) -> float:
        """Return its end, s."""
        return self.bouts[-1][1]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that a sensor sends.

    Attributes:
        sensor: number of the sensor, from 0.
        at_s: begin of the clip, s.
        night: whether the background is that of the night.
        sounds: sources in it besides the background, sorted.
        sound_events: names of the sound events in it.
    """

    sensor: int
    at_s: float
    night: bool
    sounds: tuple[SourceInstance, ...]
    sound_events: tuple[str, ...]

    @property
    def labels(self) -> frozenset[str]:
        """Return the categories that it contains."""
        return frozenset(sound.category for sound in self.sounds)


def generate_scenario(days: int, sensors: int, rng: Random) -> list[ScenarioEvent]:
    """Generate all sound events, in order of time.

    Args:
        days: number of days, from 1.
        sensors: number of sensors, from 1; the jackhammer is near the first, the saw near the last.
        rng: random generator.
    """
    hammer, saw = (int(one) for one in rng.integers(2**32, size=2))
    events = list(_jackhammers(days, sensors, hammer, rng))
    events += _saws(days, sensors - 1, saw, rng)
    fleet = [
        SourceInstance("engine", int(rng.integers(2**32)), float(rng.uniform(6.0, 18.0)), _OF_FLEET)
        for _ in range(_VEHICLES)
    ]
    for sensor in range(sensors):
        for day in range(days):
            events += _noise(sensor, day, rng)
            events += _vehicles(sensor, day, fleet, rng)
    return sorted(events, key=lambda event: event.begin_s)


def _jackhammers(days: int, sensors: int, character: int, rng: Random) -> Iterator[ScenarioEvent]:
    """Yield the jackhammer: most weekdays from 7:00, plus or minus 20 minutes, for 20 to 60 minutes."""
    near, faint = (SourceInstance(KINDS[JACKHAMMER], character, db, PERFORMANCES) for db in (16.0, FAINT_DB))
    sources = ((0, near), (1, faint)) if sensors > 1 else ((0, near),)
    for day in range(days):
        works, late_s, length_s = rng.random() < _WORKS, rng.uniform(-1_200, 1_200), rng.uniform(1_200, 3_600)
        if day % 7 < 5 and works:
            begin = day * DAY_S + 7 * HOUR_S + late_s
            yield ScenarioEvent(f"{JACKHAMMER}-{day}", JACKHAMMER, sources, _bouts(begin, length_s, (60, 240), rng))


def _saws(days: int, sensor: int, character: int, rng: Random) -> Iterator[ScenarioEvent]:
    """Yield the saw: every other night from 23:00, plus or minus 10 minutes, for 10 to 20 minutes."""
    sound = SourceInstance(KINDS[SAW], character, 16.0, PERFORMANCES)
    for day in range(0, days, 2):
        begin = day * DAY_S + 23 * HOUR_S + rng.uniform(-600, 600)
        bouts = _bouts(begin, rng.uniform(600, 1_200), (30, 90), rng)
        yield ScenarioEvent(f"{SAW}-{day}", SAW, ((sensor, sound),), bouts)


def _bouts(
    begin_s: float, length_s: float, on_s: tuple[float, float], rng: Random
) -> tuple[tuple[float, float], ...]:
    """Draw bouts with pauses, some longer than the gap within an episode."""
    made, at = [], begin_s
    while at < begin_s + length_s:
        until = min(at + rng.uniform(*on_s), begin_s + length_s)
        made.append((at, until))
        at = until + rng.uniform(15, 150)
    return tuple(made)


def _noise(sensor: int, day: int, rng: Random) -> Iterator[ScenarioEvent]:
    """Yield 15 to 25 short sound events of one day, each from a different source."""
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
    """Yield 8 to 12 idling vehicles of one day, and those that pass during a background clip."""

    def one() -> tuple[tuple[int, SourceInstance], ...]:
        return ((sensor, fleet[int(rng.integers(len(fleet)))]),)

    for number in range(int(rng.integers(8, 13))):
        begin = day * DAY_S + rng.uniform(*_DAYTIME) * HOUR_S
        yield ScenarioEvent(f"engine-{sensor}-{day}-{number}", "", one(), ((begin, begin + rng.uniform(20, 120)),))
    for begin in range(day * DAY_S + _DAYTIME[0] * HOUR_S, day * DAY_S + _DAYTIME[1] * HOUR_S, BACKGROUND_EVERY_S):
        if rng.random() < _PASSING:
            bouts = ((begin, begin + 2.0 * CLIP_S),)
            yield ScenarioEvent(f"passing-{sensor}-{begin}", "", one(), bouts, triggers=False)


def clips(sound_events: Sequence[ScenarioEvent], days: int, sensors: int, rng: Random) -> list[Clip]:
    """Return the clips that sensors send, in order of time.

    A sound event is in a clip if it sounds for at least half of it. Each sensor has its own offset of clip begins.
    """
    made = []
    for sensor in range(sensors):
        phase = sensor * CLIP_S / sensors
        sounding: dict[int, list[ScenarioEvent]] = {}
        for event in sound_events:
            if any(number == sensor for number, _ in event.sources):
                for slot in _slots(event, phase):
                    sounding.setdefault(slot, []).append(event)
        sent = {slot for slot, events in sounding.items() if any(one.triggers for one in events)}
        sent |= set(range(0, days * DAY_S // CLIP_S, BACKGROUND_EVERY_S // CLIP_S))
        sent |= {int(slot) for slot in rng.integers(days * DAY_S // CLIP_S, size=5 * days)}
        for slot in sent:
            events = sounding.get(slot, [])
            sounds = {sound for one in events for number, sound in one.sources if number == sensor}
            hour = slot * CLIP_S % DAY_S / HOUR_S
            made.append(
                Clip(
                    sensor=sensor,
                    at_s=slot * CLIP_S + phase,
                    night=not _DAYTIME[0] <= hour < _DAYTIME[1],
                    sounds=tuple(sorted(sounds)),
                    sound_events=tuple(one.name for one in events),
                )
            )
    return sorted(made, key=lambda clip: (clip.at_s, clip.sensor))


def _slots(event: ScenarioEvent, phase_s: float) -> Iterator[int]:
    """Yield the clip numbers of a sensor that a sound event fills at least by half."""
    for begin, end in event.bouts:
        first, last = round((begin - phase_s) / CLIP_S), round((end - phase_s) / CLIP_S)
        yield from range(max(first, 0), last)
