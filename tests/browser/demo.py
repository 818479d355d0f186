"""A demo archive: weeks of a neighbourhood's sound, written through the real archive, casebook and judge.

1. A few hundred synthetic scenes are heard by earwitness-small; every event recombines two of one category, or is
   background.
2. Eight sensors of two sites hear them over three and a half weeks. Some sounds keep to a rhythm: powered saw on
   weekday mornings, voices on Friday and Saturday nights, music every evening; the rest is scattered.
3. The last days go through search and judge, so that episodes, likeness and alerts are what the hub itself would have
   made; what came before is taken into episodes without a search.
4. Clips of the last hours have their sound kept.

Everything is drawn from one seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hub.archive import Archive
from hub.casebook import Casebook
from hub.clips import Clips
from hub.flagging.complete import Completer
from hub.flagging.judge import Judge
from hub.flagging.rule import FlagRule, Found
from hub.patterns import Patterns
from hub.places import Places
from hub.search.match import Query
from hub.search.recombined import recombined
from hub.search.retrieval import Retrieval, own_recent
from hub.stored import StoredEvent
from shared.audio import Waveform, encode_flac
from shared.backbones import described
from shared.backbones.backbone import Backbone
from shared.events import Event, EventId, Flac, Levels
from shared.messages import ReportMessage, StateMessage
from shared.scene import Cast, mix
from shared.space import SMALL, Features
from shared.taxonomy import CATEGORIES, COUNT

RATE_HZ: Final = 16_000
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
PLACES: Final = (*POSITIONS, "schanze/roof")
_SCENES: Final = 24
_BATCH: Final = 256
_BURST: Final = 3
"""Clips of one happening."""


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """Scenes of one kind.

    Attributes:
        features: uint8 [n, frames, dimension].
        sounds: their waveforms.
    """

    features: Features
    sounds: Sequence[Waveform]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip to be archived."""

    place: str
    at: datetime
    kind: str
    laeq: float


def scenes(retrieval: Retrieval, rng: np.random.Generator) -> dict[str, Scenes]:
    """Scenes of each category, and of nothing (""): of those the half in which least is heard."""
    cast, backbone = Cast.drawn(7), Backbone(described(SMALL.id))
    made = {}
    for kind in ("", *CATEGORIES):
        count = _SCENES if kind else 2 * _SCENES
        sounds = [mix([kind] if kind else [], rng, RATE_HZ, cast=cast).waveform for _ in range(count)]
        features = backbone.extract_many([(sound, RATE_HZ) for sound in sounds])
        heard = np.max(retrieval.presence_all(SMALL.id, retrieval.embed_all(SMALL.id, features)), axis=1)
        chosen = np.argsort(heard)[:_SCENES] if not kind else np.arange(_SCENES)
        made[kind] = Scenes(features[chosen], [sounds[i] for i in chosen])
    return made


def timetable(count: int, days: int, until: datetime, rng: np.random.Generator) -> list[Clip]:
    """So many clips over so many days, by time."""
    clips: list[Clip] = []
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
    for place in PLACES:
        clips += [_quiet(place, until - timedelta(hours=n + float(rng.random())), rng) for n in range(24 * days)]
        clips += [_quiet(place, until - timedelta(minutes=3 * n, seconds=20), rng) for n in range(20)]
    while len(clips) < count:
        place, kind = PLACES[int(rng.integers(len(PLACES)))], CATEGORIES[int(rng.integers(COUNT))]
        clips += _burst(place, until - timedelta(seconds=float(rng.uniform(0, span_s))), kind, rng)
    kept = [clip for clip in clips if clip.at < until and not _dead(clip, until)]
    return sorted(kept, key=lambda clip: clip.at)


def _dead(clip: Clip, until: datetime) -> bool:
    """A sensor that has not been heard for two days."""
    return clip.place == "harbour/fish-hall" and clip.at > until - timedelta(days=2)


def _quiet(place: str, at: datetime, rng: np.random.Generator) -> Clip:
    return Clip(place, at, "", float(rng.normal(54, 3)))


def _burst(place: str, at: datetime, kind: str, rng: np.random.Generator) -> list[Clip]:
    loud = float(rng.uniform(56, 76))
    return [Clip(place, at + timedelta(seconds=12 * n), kind, loud + float(rng.normal(0, 2))) for n in range(_BURST)]


def fill(
    archive: Archive,
    retrieval: Retrieval,
    *,
    count: int,
    days: int = 24,
    judged: int = 1_600,
    kept: int = 400,
    clips: Clips | None = None,
    seed: int = 1,
    until: datetime | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> None:
    """Fill an empty archive.

    Args:
        archive: where events, episodes and alerts are written.
        retrieval: an empty one with the shipped networks; filled on the way.
        count: events, about.
        days: that they cover.
        judged: how many of the last are searched and judged.
        kept: how many of the last have their sound kept, if `clips` is there.
        clips: where sound is kept.
        seed: of everything.
        until: when it ends; the present by default.
        told: how many events are archived.
    """
    rng = np.random.default_rng(seed)
    known = scenes(retrieval, rng)
    table = timetable(count, days, until or datetime.now(UTC), rng)
    casebook, rule = Casebook(archive), FlagRule()
    places = Places(POSITIONS, 500.0, ZONE)
    judge = Judge(casebook, places, rule)
    patterns = Patterns(casebook, places, 90.0)
    completer = Completer(casebook, patterns, places, rule, urgent_above_db=10.0)
    boots = dict.fromkeys(PLACES, 0)
    for start in range(0, len(table), _BATCH):
        batch = table[start : start + _BATCH]
        events, towers = _heard(batch, known, retrieval, boots, rng)
        first_kept = len(table) - kept - start
        if clips is not None and first_kept < len(batch):
            events = [
                _with_sound(event, clip, known, clips, rng) if number >= first_kept else event
                for number, (event, clip) in enumerate(zip(events, batch, strict=True))
            ]
        archive.record_all(events)
        retrieval.add_all(events, list(towers))
        search = start + len(batch) > len(table) - judged
        similar = _similar(events, towers, retrieval, rule) if search else [_NOTHING] * len(events)
        alerts = judge.conclude(events, similar)
        for alert in alerts:
            if alert is not None:
                whole = completer.complete(alert)
                archive.client.set(f"ew:alert:{whole.event}", whole.model_dump_json())
        told(start + len(batch))
    archive.client.delete("ew:alerts:due")
    for place in PLACES:
        archive.note_state(_state(place, until or datetime.now(UTC)))


def _state(place: str, now: datetime) -> StateMessage:
    """What a sensor announced; the one that is not heard keeps events, and its spool was full for a while."""
    site, _, sensor = place.partition("/")
    full = place == "harbour/fish-hall"
    return StateMessage(
        site=site,
        sensor=sensor,
        boot="boot",
        state="ready",
        source="scene",
        form="flac",
        software="earwitness-edge",
        since=now,
        report=ReportMessage(at=now, waiting=5_431 * full, spool=0.97 * full, dropped=12 * full),
    )


_NOTHING: Final = Found((), np.empty((0, COUNT), dtype=np.float32))


def _heard(
    batch: Sequence[Clip],
    known: dict[str, Scenes],
    retrieval: Retrieval,
    boots: dict[str, int],
    rng: np.random.Generator,
) -> tuple[list[StoredEvent], npt.NDArray[np.float32]]:
    features = np.concatenate([recombined(known[clip.kind].features, 1, rng) for clip in batch])
    towers = retrieval.embed_all(SMALL.id, features)
    presence = retrieval.presence_all(SMALL.id, towers)
    events = []
    for clip, own, present, tower in zip(batch, features, presence, towers, strict=True):
        site, _, sensor = clip.place.partition("/")
        boots[clip.place] += 1
        at = clip.at.astimezone(UTC).replace(microsecond=clip.at.microsecond // 1000 * 1000)
        events.append(
            StoredEvent(
                id=EventId(site, sensor, "demo", boots[clip.place]),
                captured_at=at,
                received_at=at + timedelta(seconds=11),
                duration_s=10.0,
                levels=Levels(round(clip.laeq, 1), round(clip.laeq + 8, 1), "dB"),
                space=SMALL.id,
                features=own,
                presence=present,
                towers=retrieval.to_archive(SMALL.id, tower),
            )
        )
    return events, towers


def _with_sound(
    event: StoredEvent, clip: Clip, known: dict[str, Scenes], clips: Clips, rng: np.random.Generator
) -> StoredEvent:
    sounds = known[clip.kind].sounds
    data = Flac(encode_flac(sounds[int(rng.integers(len(sounds)))], RATE_HZ))
    sent = Event(event.id, event.captured_at, event.duration_s, RATE_HZ, event.levels, data)
    fields = {name: getattr(event, name) for name in StoredEvent.__dataclass_fields__}
    return StoredEvent(**{**fields, "clip": clips.keep(sent, data)})


def _similar(
    events: Sequence[StoredEvent], towers: npt.NDArray[np.float32], retrieval: Retrieval, rule: FlagRule
) -> list[Found]:
    ids = [str(event.id) for event in events]
    requests = [
        (event.space, Query(own, 20, own_recent(ids[n:], event.place, event.captured_at, rule.own_recent_s)))
        for n, (event, own) in enumerate(zip(events, towers, strict=True))
    ]
    return [
        Found(matches, retrieval.likeness(event.space, matches, rule.min_shared))
        for event, matches in zip(events, retrieval.search_all(requests), strict=True)
    ]


def configuration(folder: Path, clips: Path) -> Path:
    """The configuration file of a hub that shows the demo archive."""
    path = folder / "hub.toml"
    placed = "\n".join(f'"{place}" = [{lat}, {lon}]' for place, (lat, lon) in POSITIONS.items())
    path.write_text(
        f"""
[archive]
clips_dir = "{clips}"
[model]
space = "earwitness-small"
[places]
timezone = "{ZONE.key}"
nearby_m = 500
[places.positions]
{placed}
"""
    )
    return path
