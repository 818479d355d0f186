"""Episodes: consecutive clips of one category at one sensor.

A clip that contains a category continues the sensor's episode of that category if at most a gap lies between them.
Otherwise it opens a new episode. The `SensorState` is all that the rule needs to take the next clip. A clip that
arrives late needs earlier episodes, too: see `hub.domain.sensor_history`.

Times are ms since 1970 UTC; levels are LAeq in the sensor's unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.taxonomy import CATEGORIES

EPISODES_PER_CATEGORY: Final = 3
"""Episodes of each category that a `SensorState` holds."""
CONTINUE_RATIO: Final = 0.7
"""An episode continues from this share of the probability that opens one."""
AMBIENT_STEP_DB: Final = 1.0
AMBIENT_SHARE: Final = 0.1
AMBIENT_CLIPS: Final = 18
"""Clips before the ambient level counts as known: three minutes."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode.

    Attributes:
        id: of the event that opened it, and the category's number.
        place: `site/sensor`.
        category: of the taxonomy.
        opened_ms: start of its first clip.
        last_ms: end of its last clip so far.
        clips: number of its clips.
        max_laeq: highest LAeq of a clip.
        max_match_probability: highest probability that a clip is the same kind of sound as a past event, in [0, 1].
        peak_event: event in which the category is most probable.
        peak_presence: that probability, in [0, 1].
        alert: that the episode belongs to; "" if none.
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
        """Return the site of its place."""
        return self.place.partition("/")[0]

    @property
    def duration_s(self) -> float:
        """Return the time from the start of the first clip to the end of the last, in seconds."""
        return (self.last_ms - self.opened_ms) / 1000

    def overlaps(self, start_ms: int, end_ms: int, gap_ms: int) -> bool:
        """Return whether a span of time overlaps the episode, or lies at most a gap from it."""
        return self.opened_ms - gap_ms <= end_ms and start_ms <= self.last_ms + gap_ms


@dataclass(frozen=True, slots=True)
class Observation:
    """The values of a clip that the rule decides on.

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
    """An alert of a category at a place: until `until_ms`, episodes that open belong to it."""

    alert: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class SensorState:
    """The recent past of a sensor: all that the rule needs to take its next clip.

    The methods change this object. The alert rule works on a copy.

    Attributes:
        episodes: by category, in order of their end, at most `EPISODES_PER_CATEGORY` each.
        calls: by category, its latest alert.
        ambient: level that nine of ten clips exceed, LA90 of clips; undefined before the first clip.
        unit: of `ambient`.
        clips: number of clips that `ambient` was estimated from.
        hour: hours since 1970 UTC, of the clip that was taken last; -1 before the first clip.
        newest_ms: begin of the latest clip.
    """

    episodes: dict[str, list[Episode]] = field(default_factory=dict)
    calls: dict[str, ActiveAlert] = field(default_factory=dict)
    ambient: float = 0.0
    unit: str = ""
    clips: int = 0
    hour: int = -1
    newest_ms: int = 0

    def copy(self) -> "SensorState":
        """Return a copy; a change of either leaves the other as it is."""
        return SensorState(
            self.episodes.copy(), self.calls.copy(), self.ambient, self.unit, self.clips, self.hour, self.newest_ms
        )

    def above_ambient_db(self, laeq: float) -> float | None:
        """Return how far a level lies above the ambient level; None while that is not known."""
        return laeq - self.ambient if self.clips >= AMBIENT_CLIPS else None

    def active_alert(self, category: str, at_ms: int) -> str:
        """Return the alert that a clip of a category at a time belongs to; "" if there is none."""
        call = self.calls.get(category)
        return call.alert if call is not None and call.from_ms <= at_ms < call.until_ms else ""

    def observe(self, observation: Observation, opens: float, gap_ms: int) -> list[Episode]:
        """Take the next clip: continue or open its episodes, and update the ambient level.

        Args:
            observation: the clip.
            opens: least probability of a category that opens an episode, in [0, 1].
            gap_ms: longest silence within an episode.

        Returns:
            The episodes that the clip belongs to, as they are now.
        """
        self.learn_ambient(observation)
        self.newest_ms = max(self.newest_ms, observation.start_ms)
        taken = []
        for number, (category, presence) in enumerate(zip(CATEGORIES, observation.presence, strict=True)):
            if presence < CONTINUE_RATIO * opens:
                continue
            for episode in reversed(self.episodes.get(category, ())):
                if episode.overlaps(observation.start_ms, observation.end_ms, gap_ms):
                    taken.append(self.upsert(_continued(episode, observation, presence)))
                    break
            else:
                if presence >= opens:
                    taken.append(self.upsert(opened_by(observation, number)))
        return taken

    def upsert(self, episode: Episode) -> Episode:
        """Put an episode in the place of its former state; the lists of a copy stay as they are."""
        known = self.episodes.get(episode.category, ())
        if known and known[-1].id == episode.id:
            self.episodes[episode.category] = [*known[:-1], episode]
        else:
            others = [e for e in known if e.id != episode.id]
            self.episodes[episode.category] = sorted([*others, episode], key=lambda e: e.last_ms)[
                -EPISODES_PER_CATEGORY:
            ]
        return episode

    def without_future(self, now_ms: int) -> "SensorState":
        """Return the state without what lies in the future: a sensor's clock that was wrong reported it."""
        if self.newest_ms <= now_ms and all(call.from_ms <= now_ms for call in self.calls.values()):
            return self
        state = self.copy()
        if state.newest_ms > now_ms:
            state.episodes = {
                category: [e for e in known if e.opened_ms <= now_ms] for category, known in state.episodes.items()
            }
            newest_ms = max((e.last_ms for known in state.episodes.values() for e in known), default=0)
            state.newest_ms = min(newest_ms, now_ms)
        state.calls = {name: call for name, call in state.calls.items() if call.from_ms <= now_ms}
        return state

    def forget(self, name: str) -> None:
        """Remove an episode that became a part of another."""
        for category, known in self.episodes.items():
            self.episodes[category] = [e for e in known if e.id != name]

    def learn_ambient(self, observation: Observation) -> None:
        """Move the ambient level a step towards the level that nine of ten clips exceed."""
        if observation.unit != self.unit:
            self.ambient, self.unit, self.clips = observation.laeq, observation.unit, 0
        self.clips += 1
        step = AMBIENT_SHARE if observation.laeq >= self.ambient else AMBIENT_SHARE - 1.0
        towards = self.ambient + AMBIENT_STEP_DB * step
        # A step never passes the level itself: a steady sound is its own ambient level.
        self.ambient = min(towards, observation.laeq) if step > 0 else max(towards, observation.laeq)


def opened_by(observation: Observation, number: int) -> Episode:
    """Return the episode that a clip opens.

    Args:
        observation: the clip.
        number: of the category, as in `CATEGORIES`.
    """
    return Episode(
        id=f"{observation.event}.{number}",
        place=observation.place,
        category=CATEGORIES[number],
        opened_ms=observation.start_ms,
        last_ms=observation.end_ms,
        max_laeq=observation.laeq,
        peak_event=observation.event,
        peak_presence=observation.presence[number],
    )


def _continued(episode: Episode, observation: Observation, presence: float) -> Episode:
    """Return an episode with its next clip; spelt out, for `dataclasses.replace` takes three times as long."""
    clearer = presence > episode.peak_presence
    return Episode(
        episode.id,
        episode.place,
        episode.category,
        min(episode.opened_ms, observation.start_ms),
        max(episode.last_ms, observation.end_ms),
        episode.clips + 1,
        max(episode.max_laeq, observation.laeq),
        episode.max_match_probability,
        observation.event if clearer else episode.peak_event,
        presence if clearer else episode.peak_presence,
        episode.alert,
    )


def overlapping_elsewhere(episode: Episode, others: Sequence[Episode], gap_ms: int) -> list[Episode]:
    """Return the episodes of the same category at another place that overlap one, or lie at most a gap from it."""
    return [
        other
        for other in others
        if other.category == episode.category
        and other.place != episode.place
        and other.overlaps(episode.opened_ms, episode.last_ms, gap_ms)
    ]
