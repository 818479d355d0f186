"""A demo archive for tests: weeks of two neighbourhoods' sound, written by the history of `earwitness-hub demo`.

1. Eight sensors of two sites record over three and a half weeks. Some sounds keep to a rhythm: powered saw on
   weekday mornings, voices on Friday and Saturday nights, music every evening; the rest is scattered.
2. `HistoryWriter` renders, embeds, archives, searches and judges the clips, and keeps the sound of the
   last ones.

Everything is drawn from one seed.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.sandbox.history import HistoryWriter
from hub.sandbox.neighbourhood import HistoryClip
from hub.settings import HubSettings
from shared.messages.sensor import SensorReport, ShedRange, StateMessage
from shared.synthetic_mixture import SourceInstance
from shared.synthetic_scene import SoundCast
from shared.taxonomy import CATEGORIES, COUNT

ZONE: Final = ZoneInfo("Europe/Berlin")
POSITIONS: Final = {
    "harbour/quay": (53.5457, 9.9665),
    "harbour/bridge": (53.5449, 9.9712),
    "harbour/market": (53.5478, 9.9688),
    "harbour/fish-hall": (53.5451, 9.9559),
    "schanze/park": (53.5634, 9.9626),
    "schanze/station": (53.5642, 9.9671),
    "schanze/school": (53.5611, 9.9655),
}
SHED: Final = (ShedRange(boot="boot", content="sound", reason="full", first_seq=200, last_seq=211, events=12),)
PLACES: Final = (*POSITIONS, "schanze/roof")
_CAST: Final = SoundCast.drawn(7)
_TAKES: Final = 8
"""Takes of each source."""
_WITH_SOUND: Final = 400
"""Clips whose sound is kept, the last ones."""
_BURST: Final = 3
"""Clips of one sound event."""


def timetable(count: int, days: int, until: datetime, rng: np.random.Generator) -> list[HistoryClip]:
    """A number of clips over a number of days, by time."""
    clips: list[HistoryClip] = []
    for back in range(days, -1, -1):
        day = (until.astimezone(ZONE) - timedelta(days=back)).replace(minute=0, second=0, microsecond=0)
        rhythms = [("harbour/quay", "music", 21), ("schanze/school", "dog", 7)]
        if day.weekday() < 5:
            rhythms += [("harbour/bridge", "powered-saw", 8), ("harbour/market", "machinery-impact", 9)]
        if day.weekday() in {4, 5}:
            rhythms += [("schanze/park", "human-voice", 23), ("schanze/station", "alert-signal", 22)]
        for place, kind, hour in rhythms:
            at = day.replace(hour=hour) + timedelta(minutes=float(rng.uniform(5, 50)))
            clips += _burst(place, at, kind, rng)
    span_s = days * 86_400
    quiet = [until - timedelta(hours=hour + float(rng.random())) for hour in range(24 * days)]
    quiet += [until - timedelta(minutes=3 * number, seconds=20) for number in range(20)]
    for at in quiet:
        clips += [_quiet(place, at + timedelta(seconds=number), rng) for number, place in enumerate(PLACES)]
    while len(clips) < count:
        place, kind = PLACES[int(rng.integers(len(PLACES)))], CATEGORIES[int(rng.integers(COUNT))]
        clips += _burst(place, until - timedelta(seconds=float(rng.uniform(0, span_s))), kind, rng)
    kept = [clip for clip in clips if clip.at < until and not _dead(clip, until)]
    ordered = sorted(kept, key=lambda clip: clip.at)
    return [replace(clip, sound=number >= len(ordered) - _WITH_SOUND) for number, clip in enumerate(ordered)]


def _dead(clip: HistoryClip, until: datetime) -> bool:
    """A sensor that has been offline for two days."""
    return clip.place == "harbour/fish-hall" and clip.at > until - timedelta(days=2)


def _quiet(place: str, at: datetime, rng: np.random.Generator) -> HistoryClip:
    return HistoryClip(place, at, (), float(rng.normal(0.0, 3.0)))


def _burst(place: str, at: datetime, kind: str, rng: np.random.Generator) -> Iterator[HistoryClip]:
    sounds = (SourceInstance(kind, _CAST.character(kind, rng), 12.0, _TAKES),)
    louder_db = float(rng.uniform(-8.0, 8.0))
    for number in range(_BURST):
        begin = at + timedelta(seconds=12 * number)
        yield HistoryClip(place, begin, sounds, louder_db + float(rng.normal(0.0, 2.0)))


def fill(settings: HubSettings, *, count: int, days: int, seed: int = 1) -> None:
    """Fill an empty archive.

    Args:
        settings: of the hub whose archive it is.
        count: events, about.
        days: that they cover.
        seed: of everything.
    """
    rng, until = np.random.default_rng(seed), datetime.now(UTC)
    with HistoryWriter(settings, rng) as writer:
        writer.write(timetable(count, days, until, rng))
        for place in PLACES:
            writer.archive.sensors.update_state(_state(place, until))


def _state(place: str, now: datetime) -> StateMessage:
    """What a sensor announced; the one that is offline keeps events, and its spool was full for a while."""
    site, _, sensor = place.partition("/")
    full = place == "harbour/fish-hall"
    return StateMessage(
        site=site,
        sensor=sensor,
        boot="boot",
        state="ready",
        source="synthetic",
        payload_format="flac",
        software="earwitness-edge",
        started_at=now,
        report=SensorReport(
            at=now,
            waiting=5_431 * full,
            spool=0.97 * full,
            dropped=12 * full,
            shed=SHED * full,
            capture_gap_s=2_400.0 * full,
        ),
    )


def configuration(folder: Path, clips: Path) -> Path:
    """The configuration file of a hub that shows the demo archive."""
    path = folder / "hub.toml"
    placed = "\n".join(f'"{place}" = [{lat}, {lon}]' for place, (lat, lon) in POSITIONS.items())
    path.write_text(
        f"""
[store]
audio_dir = "{clips}"
[features]
space = "earwitness-small"
[sites]
timezone = "{ZONE.key}"
neighbour_radius_m = 500
[sites.sensor_positions]
{placed}
"""
    )
    return path
