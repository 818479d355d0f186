"""Three weeks in a street: which sensor records what, and when, as a pure function of a random generator.

1. A jackhammer works on weekdays from about 07:00 at the first sensor; the second one, nearby, records it faintly.
2. A powered saw runs every other night at about 23:00 at the last sensor.
3. Voices at the third and music at the second sensor recur every day at the current time of day. The live street has
   the same sources, so the hub raises a recurring alert soon after the start.
4. Sirens, voices, music, dogs, hammering and traffic occur at random times. The last day has none, so that its alert
   budget is left for the live street.
5. Each sensor records the background once an hour, and every two minutes in the last hour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from shared.synthetic_mixture import SourceInstance
from shared.synthetic_scene import SoundCast

SITE: Final = "demo"
POSITIONS: Final = {
    "demo/street-1": (53.54560, 9.96640),
    "demo/street-2": (53.54530, 9.96810),
    "demo/street-3": (53.54790, 9.96900),
    "demo/street-4": (53.54500, 9.97290),
}
"""Latitude and longitude in degrees. The first two sensors are 117 m apart, the others at least 290 m."""
PLACES: Final = tuple(POSITIONS)
SCATTERED: Final = ("alert-signal", "human-voice", "music", "dog", "non-machinery-impact", "engine")
ABOVE_DB: Final = (9.0, 14.0)
"""Levels of the two random sources of a category above the background, RMS."""
_LOUD_DB: Final = 16.0
_FAINT_DB: Final = 5.0
_DAILY: Final = (("demo/street-3", "human-voice", -2.0), ("demo/street-2", "music", 5.0))
"""Sources that recur at the current time of day: sensor, category, and level above the background, dB."""
_NIGHT_DB: Final = -5.0
"""Level of the night relative to the day."""
_DAYTIME: Final = (6, 22)
"""Local hours with the background of the day."""
_CLIPS: Final = 3
"""Clips of one bout."""
_STEP_S: Final = 12.0
_BATCH_GAP_S: Final = 60.0

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class HistoryClip:
    """A clip that a sensor recorded in the past.

    Attributes:
        place: `site/sensor`.
        at: start of the clip, with a time zone.
        sounds: sources over the background.
        louder_db: level relative to the take that it uses.
        sound: whether its audio is kept.
    """

    place: str
    at: datetime
    sounds: tuple[SourceInstance, ...]
    louder_db: float = 0.0
    sound: bool = True


def neighbourhood(
    places: Sequence[str], days: int, until: datetime, zone: ZoneInfo, cast: SoundCast, rng: Random
) -> list[HistoryClip]:
    """Return the clips of some days, ordered by time.

    Args:
        places: sensors, from `PLACES`.
        days: number of days, at least 1.
        until: end of the history, with a time zone.
        zone: time zone of clock times and nights.
        cast: the recurring sources, the same as those of the live street.
        rng: source of all randomness.
    """
    since = until - timedelta(days=days)
    clips = [*_background(since, until, zone, rng)]
    now = until.astimezone(zone)
    for back in range(days, -1, -1):
        midnight = (now - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
        clips += _working_day(midnight, cast, rng)
        if back > 0:
            clips += _present_time(now - timedelta(days=back), cast, rng)
        if back > 1:
            clips += _scattered(midnight, cast, rng)
    kept = [clip for clip in clips if clip.place in places and since <= clip.at < until]
    return sorted(kept, key=lambda clip: (clip.at, clip.place))


def batches(clips: Sequence[HistoryClip]) -> Iterator[list[HistoryClip]]:
    """Split clips, ordered by time, at gaps of more than a minute and at full hours.

    The pipeline searches and judges the clips of a batch together, like events received at once.
    """
    batch = list(clips[:1])
    for before, clip in pairwise(clips):
        apart = (clip.at - before.at).total_seconds() > _BATCH_GAP_S
        if apart or clip.at.replace(minute=0, second=0, microsecond=0) > before.at:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _by_hour_db(at: datetime, zone: ZoneInfo) -> float:
    return 0.0 if _DAYTIME[0] <= at.astimezone(zone).hour < _DAYTIME[1] else _NIGHT_DB


def _background(since: datetime, until: datetime, zone: ZoneInfo, rng: Random) -> Iterator[HistoryClip]:
    hours = int((until - since).total_seconds() // 3600)
    full_hour = until.replace(minute=0, second=0, microsecond=0)
    times = [full_hour - timedelta(hours=hour, minutes=-float(rng.uniform(2, 58))) for hour in range(1, hours + 1)]
    times += [until - timedelta(minutes=2 * number, seconds=40) for number in range(30)]
    for at in times:
        for number, place in enumerate(PLACES):
            begin = at + timedelta(seconds=2.5 * number)
            yield HistoryClip(place, begin, (), _by_hour_db(begin, zone) + float(rng.normal(0.0, 2.0)))


def _working_day(midnight: datetime, cast: SoundCast, rng: Random) -> Iterator[HistoryClip]:
    """Yield the jackhammer on nine of ten weekdays, and the saw on every other night."""
    late, works = timedelta(minutes=float(rng.uniform(0, 12))), rng.random() < 0.9
    if midnight.weekday() < 5 and works:
        for after_min in (0.0, rng.uniform(6, 12)):
            at = midnight + timedelta(hours=7, minutes=float(after_min)) + late
            yield from _bout("demo/street-1", at, _one("machinery-impact", cast, _LOUD_DB, 8), rng)
            yield from _bout("demo/street-2", at, _one("machinery-impact", cast, _FAINT_DB, 4), rng)
    if midnight.toordinal() % 2 == 0:
        for after_min in (0.0, rng.uniform(5, 12)):
            at = midnight + timedelta(hours=23, minutes=float(after_min)) + late
            yield from _bout("demo/street-4", at, _one("powered-saw", cast, _LOUD_DB, 8), rng)


def _present_time(now: datetime, cast: SoundCast, rng: Random) -> Iterator[HistoryClip]:
    """Yield the sources that recur at this time of day: shortly after it, and half an hour later."""
    for place, category, above_db in _DAILY:
        for after_min in (6.0, 31.0):
            at = now + timedelta(minutes=after_min + float(rng.uniform(-5, 5)))
            yield from _bout(place, at, _one(category, cast, above_db, 5), rng)


def _scattered(midnight: datetime, cast: SoundCast, rng: Random) -> Iterator[HistoryClip]:
    for place in PLACES:
        for _ in range(int(rng.integers(2, 4))):
            at = midnight + timedelta(hours=float(rng.uniform(_DAYTIME[0] + 1, _DAYTIME[1])))
            category = SCATTERED[int(rng.integers(len(SCATTERED)))]
            which = int(rng.integers(len(ABOVE_DB)))
            sound = SourceInstance(category, cast.characters[category][which], ABOVE_DB[which], 2)
            yield from _bout(place, at, (sound,), rng)


def _one(category: str, cast: SoundCast, above_db: float, performances: int) -> tuple[SourceInstance, ...]:
    """Return the first source of a category."""
    return (SourceInstance(category, cast.characters[category][0], above_db, performances),)


def _bout(place: str, at: datetime, sounds: tuple[SourceInstance, ...], rng: Random) -> Iterator[HistoryClip]:
    louder_db = float(rng.normal(0.0, 2.0))
    for number in range(_CLIPS):
        begin = at + timedelta(seconds=_STEP_S * number)
        yield HistoryClip(place, begin, sounds, louder_db + float(rng.normal(0.0, 1.0)))
