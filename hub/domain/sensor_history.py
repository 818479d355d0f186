"""A sensor's earlier episodes, for clips that come late: after an outage, in a replay, from another hub.

What comes of a sensor's clips must not depend on the order in which they come. It is defined in order of time:

1. A clip in which a category is sure opens an episode. Every later clip in which it is at least in doubt goes on with
   the episode, if it begins at most a gap after the end of the episode so far.
2. An episode has an alert if it is worth one, or if it opens within the cool-down after an episode with an alert.

A clip in doubt that belongs to no episode is kept as a `Trace`: a late clip may open an episode before it. An episode
that a late clip ties to the next one becomes one with it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.domain.episodes import CONTINUE_RATIO, Episode, Observation, SensorState, opened_by
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class Trace:
    """A clip in which a category is in doubt, and that belongs to no episode.

    Attributes:
        event: its id, as text.
        start_ms: when it begins.
        end_ms: when it ends.
        laeq: its level.
        presence: probability of the category, in [0, 1].
        match_probability: highest probability that it is the same kind of sound as a past event, in [0, 1].
    """

    event: str
    start_ms: int
    end_ms: int
    laeq: float
    presence: float
    match_probability: float = 0.0


Key = tuple[str, str]
"""A place and a category."""
Kept = tuple[Sequence[Episode], Sequence[Trace]]
Load = Callable[[Key, int, int], Kept]
"""Called with a key and two times: what is kept of episodes that overlap them, and of traces that begin between."""


class History:
    """What is known of sensors' episodes, with what changes in the course of a batch.

    Args:
        load: reads what is kept; nothing by default, so that the history is what was put into it.
    """

    def __init__(self, load: Load = lambda *_: ((), ())) -> None:
        self._load = load
        self.changed: dict[str, Episode] = {}
        """Episodes as they are now, by id."""
        self.moved: set[str] = set()
        """Ids of those that opened, or whose opening moved."""
        self.merged: dict[str, Episode] = {}
        """Episodes that are no more, by id."""
        self.into: dict[str, str] = {}
        """Which episode each of these became a part of."""
        self.traces: dict[Key, dict[str, Trace]] = {}
        """Traces that came."""
        self.absorbed: dict[Key, dict[str, Trace]] = {}
        """Traces that became a part of an episode."""

    def keep(self, episode: Episode, *, moved: bool = False) -> Episode:
        """Take an episode in the place of what was known of it."""
        self.changed[episode.id] = episode
        if moved:
            self.moved.add(episode.id)
        return episode

    def episodes(self, key: Key, from_ms: int, until_ms: int, recent: Sequence[Episode] = ()) -> list[Episode]:
        """Episodes that overlap a span of time, in order.

        Args:
            key: place and category.
            from_ms: begin of the span.
            until_ms: end of the span.
            recent: newer than what is kept.
        """
        kept = {episode.id: episode for episode in self._load(key, from_ms, until_ms)[0]}
        kept |= {episode.id: episode for episode in recent}
        kept |= {name: own for name, own in self.changed.items() if (own.place, own.category) == key}
        return sorted(
            (
                e
                for e in kept.values()
                if e.id not in self.merged and e.opened_ms <= until_ms and e.last_ms >= from_ms
            ),
            key=lambda e: (e.opened_ms, e.id),
        )

    def doubt(self, place: str, category: str, trace: Trace) -> None:
        """Keep a trace."""
        self.traces.setdefault((place, category), {})[trace.event] = trace

    def _absorb(self, key: Key, from_ms: int, until_ms: int) -> list[Trace]:
        """Take the traces that begin in a span of time."""
        came, gone = self.traces.setdefault(key, {}), self.absorbed.setdefault(key, {})
        kept = {trace.event: trace for trace in self._load(key, from_ms, until_ms)[1]} | came
        found = [t for t in kept.values() if from_ms <= t.start_ms <= until_ms and t.event not in gone]
        for trace in found:
            if came.pop(trace.event, None) is None:
                gone[trace.event] = trace
        return found

    def grown(self, episode: Episode, gap_ms: int, recent: Sequence[Episode] = ()) -> Episode:
        """An episode that opened or grew, with all that it reaches now: traces, and episodes that follow."""
        key = (episode.place, episode.category)
        while True:
            until_ms = episode.last_ms + gap_ms
            following = [
                e
                for e in self.episodes(key, episode.opened_ms, until_ms, recent)
                if e.id != episode.id and e.opened_ms >= episode.opened_ms
            ]
            traces = self._absorb(key, episode.opened_ms, until_ms)
            if not following and not traces:
                return self.keep(episode, moved=True)
            for other in following:
                episode = self._one(episode, other)
            for trace in traces:
                episode = with_clip(episode, trace)

    def _one(self, first: Episode, second: Episode) -> Episode:
        """Two episodes as one, under the name of the one that people may know."""
        name = first if first.alert or not (second.alert or first.clips == 1) else second
        other = second if name is first else first
        self.merged[other.id], self.into[other.id] = other, name.id
        self.changed.pop(other.id, None)
        clearest = first if first.peak_presence >= second.peak_presence else second
        return replace(
            name,
            opened_ms=min(first.opened_ms, second.opened_ms),
            last_ms=max(first.last_ms, second.last_ms),
            clips=first.clips + second.clips,
            max_laeq=max(first.max_laeq, second.max_laeq),
            max_match_probability=max(first.max_match_probability, second.max_match_probability),
            peak_event=clearest.peak_event,
            peak_presence=clearest.peak_presence,
            alert=name.alert or other.alert,
        )


def with_clip(episode: Episode, clip: Trace) -> Episode:
    """An episode with a further clip."""
    clearer = clip.presence > episode.peak_presence
    return replace(
        episode,
        opened_ms=min(episode.opened_ms, clip.start_ms),
        last_ms=max(episode.last_ms, clip.end_ms),
        clips=episode.clips + 1,
        max_laeq=max(episode.max_laeq, clip.laeq),
        max_match_probability=max(episode.max_match_probability, clip.match_probability),
        peak_event=clip.event if clearer else episode.peak_event,
        peak_presence=max(clip.presence, episode.peak_presence),
    )


def take(recent: SensorState, heard: Observation, opens: float, gap_ms: int, history: History) -> list[Episode]:
    """Take a clip, whenever it comes: continue, open or join the episodes it belongs to.

    Args:
        recent: what its sensor did lately; changed.
        heard: the clip.
        opens: probability from which a category is heard, in [0, 1].
        gap_ms: longest silence within an episode.
        history: what is known of earlier episodes; changed.

    Returns:
        The episodes it belongs to, as they are now.
    """
    if heard.start_ms > recent.newest_ms:
        taken = [history.keep(e, moved=e.clips == 1) for e in recent.observe(heard, opens, gap_ms)]
    else:
        recent.learn_ambient(heard)
        taken = _take_late(recent, heard, opens, gap_ms, history)
    return taken


def note_doubts(
    history: History, heard: Observation, opens: float, taken: Collection[str], match_probability: Mapping[str, float]
) -> None:
    """Keep traces of a clip in the categories that are in doubt and belong to no episode.

    Args:
        history: of episodes; changed.
        heard: the clip.
        opens: probability from which a category is heard, in [0, 1].
        taken: categories in which the clip belongs to an episode.
        match_probability: by category, the probability of being the same kind of sound as a past event.
    """
    for category, presence in zip(CATEGORIES, heard.presence, strict=True):
        if CONTINUE_RATIO * opens <= presence and category not in taken:
            alike = match_probability.get(category, 0.0)
            trace = Trace(heard.event, heard.start_ms, heard.end_ms, heard.laeq, presence, alike)
            history.doubt(heard.place, category, trace)


def _take_late(recent: SensorState, heard: Observation, opens: float, gap_ms: int, history: History) -> list[Episode]:
    taken = []
    for number, (category, presence) in enumerate(zip(CATEGORIES, heard.presence, strict=True)):
        if presence < CONTINUE_RATIO * opens:
            continue
        known = recent.episodes.get(category, ())
        near = history.episodes((heard.place, category), heard.start_ms - gap_ms, heard.start_ms, known)
        episode = next((e for e in near if e.opened_ms <= heard.start_ms <= e.last_ms + gap_ms), None)
        if episode is not None:
            trace = Trace(heard.event, heard.start_ms, heard.end_ms, heard.laeq, presence)
            episode = with_clip(episode, trace)
        elif presence >= opens:
            episode = opened_by(heard, number)
        else:
            continue
        episode = history.grown(episode, gap_ms, known)
        for other in known:
            if other.id in history.merged:
                recent.forget(other.id)
        taken.append(recent.upsert(episode))
    return taken


def alert_nearby(history: History, recent: SensorState, episode: Episode, cooldown_ms: int, *, worthy: bool) -> str:
    """The alert that a late episode belongs to by the cool-down: an earlier one's, or if it is worth one, a later's.

    Args:
        history: of earlier episodes.
        recent: of its sensor.
        episode: that has no alert yet.
        cooldown_ms: so long after an episode with an alert, what opens belongs to that alert.
        worthy: whether it is worth an alert.
    """
    key, known = (episode.place, episode.category), recent.episodes.get(episode.category, ())
    near = history.episodes(key, episode.opened_ms - cooldown_ms, episode.last_ms + cooldown_ms, known)
    others = [e for e in near if e.alert and e.id != episode.id]
    before = [e for e in others if e.opened_ms <= episode.opened_ms < e.last_ms + cooldown_ms]
    after = [e for e in others if episode.opened_ms <= e.opened_ms < episode.last_ms + cooldown_ms]
    return before[-1].alert if before else after[0].alert if after and worthy else ""


def spread(history: History, recent: SensorState, episode: Episode, cooldown_ms: int) -> list[Episode]:
    """Have the episodes that follow one with an alert within the cool-down belong to that alert.

    Args:
        history: of earlier episodes; changed.
        recent: of its sensor; changed.
        episode: with an alert.
        cooldown_ms: so long after an episode with an alert, what opens belongs to that alert.

    Returns:
        Those that belong to an alert and follow each other, the given one first.
    """
    key, chain = (episode.place, episode.category), [episode]
    while True:
        until_ms = max(e.last_ms for e in chain) + cooldown_ms
        known = recent.episodes.get(episode.category, ())
        ids = {e.id for e in chain}
        following = next(
            (
                e
                for e in history.episodes(key, chain[-1].opened_ms, until_ms - 1, known)
                if e.id not in ids and e.opened_ms >= chain[-1].opened_ms
            ),
            None,
        )
        if following is None:
            return chain
        if not following.alert:
            following = history.keep(replace(following, alert=chain[-1].alert))
            if following.id in {e.id for e in known}:
                recent.upsert(following)
        chain.append(following)
