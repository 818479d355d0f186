"""Episodes: the clips of one happening, of one category at one sensor, from its first clip to its last.

A clip that contains a category goes on with the sensor's episode of that category if little time lies between them,
and else opens a new one. What a sensor did lately, its `Recent`, is all that is needed to take the next clip. Clips
that come late need more: see `hub.domain.sensor_history`.

Times are ms since 1970 UTC; levels are LAeq in the sensor's unit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

from shared.taxonomy import CATEGORIES

EPISODES_PER_CATEGORY: Final = 3
"""Episodes of each category that a sensor's `Recent` holds."""
CONTINUE_RATIO: Final = 0.7
"""A category that sounds already counts as heard from this share of the probability that opens an episode."""
AMBIENT_STEP_DB: Final = 1.0
AMBIENT_SHARE: Final = 0.1
AMBIENT_CLIPS: Final = 18
"""Clips, three minutes of them, before an ambient level is told."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One happening.

    Attributes:
        id: of the event that opened it, and the category's number.
        place: `site/sensor`.
        category: what is heard.
        opened_ms: start of its first clip.
        last_ms: end of its last clip so far.
        clips: how many belong to it.
        loudest: highest LAeq of a clip.
        best: highest probability that a clip of it is the same kind of sound as a past event, in [0, 1].
        clearest: event in which the category is surest.
        clarity: how sure, in [0, 1].
        alert: the alert that was raised for it, or that it belongs to; "" if none.
    """

    id: str
    place: str
    category: str
    opened_ms: int
    last_ms: int
    clips: int = 1
    max_laeq: float = -200.0
    max_match_probability: float = 0.0
    peak_event: str = ""
    peak_presence: float = 0.0
    alert: str = ""

    @property
    def site(self) -> str:
        """The site of its place."""
        return self.place.partition("/")[0]

    @property
    def duration_s(self) -> float:
        """From the start of the first clip to the end of the last, in seconds."""
        return (self.last_ms - self.opened_ms) / 1000

    def overlaps(self, start_ms: int, end_ms: int, gap_ms: int) -> bool:
        """Whether a time lies in the episode, or at most a gap from it."""
        return self.opened_ms - gap_ms <= end_ms and start_ms <= self.last_ms + gap_ms


@dataclass(frozen=True, slots=True)
class Observation:
    """A clip, as far as episodes are concerned.

    Attributes:
        event: its id, as text.
        place: `site/sensor`.
        start_ms: when it begins.
        end_ms: when it ends.
        laeq: its level.
        unit: of the level; a change of unit forgets the ambient level.
        presence: probability of each category, 8 values.
    """

    event: str
    place: str
    start_ms: int
    end_ms: int
    laeq: float
    unit: str
    presence: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert of a category at a place: until `until_ms`, what follows belongs to it."""

    alert: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class SensorState:
    """What a sensor did lately.

    Attributes:
        episodes: by category, the latest last; at most `KEPT` each.
        calls: by category, its latest alert.
        ambient: level that is exceeded nine tenths of the time, LA90 of clips; meaningless before a first clip.
        unit: of `ambient`.
        clips: that the ambient level was learnt from.
        hour: since 1970 UTC, the last one known to be heard.
        newest_ms: when the latest clip so far begins.
    """

    episodes: dict[str, list[Episode]] = field(default_factory=dict)
    calls: dict[str, ActiveAlert] = field(default_factory=dict)
    ambient: float = 0.0
    unit: str = ""
    clips: int = 0
    hour: int = -1
    newest_ms: int = 0

    def above_ambient_db(self, laeq: float) -> float | None:
        """How far a level lies above the ambient; None while that is not known."""
        return laeq - self.ambient if self.clips >= AMBIENT_CLIPS else None

    def observe(self, heard: Observation, opens: float, gap_ms: int) -> list[Episode]:
        """Take the next clip: continue or open the episodes it belongs to, and learn the ambient level.

        Args:
            heard: the clip.
            opens: probability from which a category is heard, in [0, 1].
            gap_ms: longest silence within an episode.

        Returns:
            The episodes it belongs to, as they are now.
        """
        self.learn_ambient(heard)
        self.newest_ms = max(self.newest_ms, heard.start_ms)
        taken = []
        for number, (category, presence) in enumerate(zip(CATEGORIES, heard.presence, strict=True)):
            if presence < CONTINUE_RATIO * opens:
                continue
            known = self.episodes.get(category, [])
            episode = next((e for e in reversed(known) if e.overlaps(heard.start_ms, heard.end_ms, gap_ms)), None)
            if episode is not None:
                taken.append(self.upsert(_continued(episode, heard, presence)))
            elif presence >= opens:
                taken.append(self.upsert(opened_by(heard, number)))
        return taken

    def upsert(self, episode: Episode) -> Episode:
        """Take an episode in the place of what was known of it."""
        known = self.episodes.setdefault(episode.category, [])
        if known and known[-1].id == episode.id:
            known[-1] = episode
        else:
            others = [e for e in known if e.id != episode.id]
            self.episodes[episode.category] = sorted([*others, episode], key=lambda e: e.last_ms)[
                -EPISODES_PER_CATEGORY:
            ]
        return episode

    def forget_after(self, now_ms: int) -> None:
        """Drop what lies ahead of the present: a clock that was wrong told of it."""
        if self.newest_ms > now_ms:
            self.episodes = {
                category: [e for e in known if e.opened_ms <= now_ms] for category, known in self.episodes.items()
            }
            self.newest_ms = max((e.last_ms for known in self.episodes.values() for e in known), default=0)
            self.newest_ms = min(self.newest_ms, now_ms)
        self.calls = {name: call for name, call in self.calls.items() if call.from_ms <= now_ms}

    def forget(self, name: str) -> None:
        """Drop an episode that became a part of another."""
        for category, known in self.episodes.items():
            self.episodes[category] = [e for e in known if e.id != name]

    def learn_ambient(self, heard: Observation) -> None:
        """A step towards the level that nine of ten clips exceed."""
        if heard.unit != self.unit:
            self.ambient, self.unit, self.clips = heard.laeq, heard.unit, 0
        self.clips += 1
        step = AMBIENT_SHARE if heard.laeq >= self.ambient else AMBIENT_SHARE - 1.0
        towards = self.ambient + AMBIENT_STEP_DB * step
        # A step never goes past the level itself: steady sound is its own ambient.
        self.ambient = min(towards, heard.laeq) if step > 0 else max(towards, heard.laeq)


def opened_by(heard: Observation, number: int) -> Episode:
    """Return the episode that a clip opens.

    Args:
        heard: the clip.
        number: of the category, as in `CATEGORIES`.
    """
    return Episode(
        id=f"{heard.event}.{number}",
        place=heard.place,
        category=CATEGORIES[number],
        opened_ms=heard.start_ms,
        last_ms=heard.end_ms,
        max_laeq=heard.laeq,
        peak_event=heard.event,
        peak_presence=heard.presence[number],
    )


def _continued(episode: Episode, heard: Observation, presence: float) -> Episode:
    clearer = presence > episode.peak_presence
    return replace(
        episode,
        opened_ms=min(episode.opened_ms, heard.start_ms),
        last_ms=max(episode.last_ms, heard.end_ms),
        clips=episode.clips + 1,
        max_laeq=max(episode.max_laeq, heard.laeq),
        peak_event=heard.event if clearer else episode.peak_event,
        peak_presence=max(presence, episode.peak_presence),
    )


def overlapping_elsewhere(episode: Episode, others: Sequence[Episode], gap_ms: int) -> list[Episode]:
    """Those of the same category at another place that go on at the same time, or at most a gap from it."""
    return [
        other
        for other in others
        if other.category == episode.category
        and other.place != episode.place
        and other.overlaps(episode.opened_ms, episode.last_ms, gap_ms)
    ]


episode_row: Final[Callable[[Episode], tuple[Any, ...]]] = attrgetter(*Episode.__dataclass_fields__)
"""An episode as JSON values, in the order of its fields."""


def episode_of(row: Sequence[Any]) -> Episode:
    """An episode from `episode_row`; what a newer version adds at the end is ignored."""
    return Episode(*row[: len(Episode.__dataclass_fields__)])


def recent_document(recent: SensorState) -> dict[str, Any]:
    """A `Recent` as JSON values."""
    return {
        "episodes": [episode_row(e) for own in recent.episodes.values() for e in own],
        "calls": {name: [call.alert, call.from_ms, call.until_ms] for name, call in recent.calls.items()},
        "ambient": [round(recent.ambient, 2), recent.unit, recent.clips],
        "hour": recent.hour,
        "newest": recent.newest_ms,
    }


def recent_of(document: Mapping[str, Any]) -> SensorState:
    """A `Recent` from `recent_document`."""
    recent = SensorState(calls={name: ActiveAlert(*row[:3]) for name, row in document["calls"].items()})
    for row in document["episodes"]:
        episode = episode_of(row)
        recent.episodes.setdefault(episode.category, []).append(episode)
    recent.ambient, recent.unit, recent.clips = document["ambient"][:3]
    recent.hour = document["hour"]
    opened = (e.opened_ms for known in recent.episodes.values() for e in known)
    recent.newest_ms = document["newest"] if "newest" in document else max(opened, default=0)
    return recent
