"""Earlier episodes of sensors, for clips that arrive late: after an outage, in a replay, through another hub.

The result of a sensor's clips must not depend on the order in which they arrive. It is defined in order of time:

1. A clip in which a category is certain opens an episode. Every later clip in which the category is at least in doubt
   continues the episode, if it begins at most a gap after the end of the episode so far.
2. An episode has an alert if it is worth one, or if it opens within the cool-down after an episode with an alert.

A clip in doubt that belongs to no episode is kept as a `Trace`: a late clip may open an episode before it. Two
episodes that a late clip connects become one.

A `History` is a value: it holds the stored rows of some spans of time, and what a batch of events changes. A question
about a span that is not loaded is answered as if nothing were stored, and the span is noted as missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.domain.episodes import Episode


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


class Span(NamedTuple):
    """A span of time of one category at one place, ms since 1970 UTC; both ends belong to it."""

    place: str
    category: str
    from_ms: int
    until_ms: int

    def covers(self, from_ms: int, until_ms: int) -> bool:
        """Return whether another span of time lies within this one."""
        return self.from_ms <= from_ms and until_ms <= self.until_ms

    def widened(self, margin_ms: int) -> "Span":
        """Return the span with a margin before and after it."""
        return Span(self.place, self.category, self.from_ms - margin_ms, self.until_ms + margin_ms)


class SpanRows(NamedTuple):
    """Stored rows of a span: the episodes that overlap it, and the traces that begin in it."""

    episodes: Sequence[Episode]
    traces: Sequence[Trace]


def united(spans: Iterable[Span]) -> list[Span]:
    """Return the spans as one of each place and category, from the begin of the first to the end of the last."""
    whole: dict[Key, Span] = {}
    for span in spans:
        known = whole.get(span[:2], span)
        begin, end = min(span.from_ms, known.from_ms), max(span.until_ms, known.until_ms)
        whole[span[:2]] = Span(span.place, span.category, begin, end)
    return list(whole.values())


_EMPTY: Final = SpanRows((), ())


class History:
    """Stored episodes and traces, with the changes of a batch of events.

    The methods change this object. The alert rule works on a copy.

    Args:
        rows: what is stored, by span.
    """

    def __init__(self, rows: Mapping[Span, SpanRows] | None = None) -> None:
        self._rows: dict[Key, list[tuple[Span, SpanRows]]] = {}
        for span, stored in (rows or {}).items():
            self._rows.setdefault((span.place, span.category), []).append((span, stored))
        self.missing: frozenset[Span] = frozenset()
        """Spans that were asked for and are not loaded."""
        self.changed: dict[str, Episode] = {}
        """Episodes as they are now, by id."""
        self.moved: set[str] = set()
        """Ids of the episodes that opened, or whose opening moved."""
        self.merged: dict[str, Episode] = {}
        """Episodes that became a part of another, by id."""
        self.into: dict[str, str] = {}
        """The id of that other episode, by the id of the merged one."""
        self.traces: dict[Key, dict[str, Trace]] = {}
        """New traces, by event."""
        self.absorbed: dict[Key, dict[str, Trace]] = {}
        """Stored traces that became a part of an episode, by event."""

    def copy(self) -> "History":
        """Return a copy; a change of either leaves the other as it is."""
        other = History.__new__(History)
        other._rows = self._rows  # noqa: SLF001 - its own class; nothing changes these
        other.missing = self.missing
        other.changed, other.moved = self.changed.copy(), self.moved.copy()
        other.merged, other.into = self.merged.copy(), self.into.copy()
        other.traces, other.absorbed = self.traces.copy(), self.absorbed.copy()
        return other

    def with_rows(self, rows: Mapping[Span, SpanRows]) -> "History":
        """Return the history with the stored rows of further spans, and nothing missing."""
        other = self.copy()
        other.missing = frozenset()
        other._rows = {key: list(stored) for key, stored in self._rows.items()}  # noqa: SLF001 - its own class
        for span, stored in rows.items():
            other._rows.setdefault((span.place, span.category), []).append((span, stored))  # noqa: SLF001
        return other

    def _stored(self, key: Key, from_ms: int, until_ms: int) -> SpanRows:
        for span, rows in reversed(self._rows.get(key, ())):
            if span.covers(from_ms, until_ms):
                return rows
        self.missing |= {Span(*key, from_ms, until_ms)}
        return _EMPTY

    def keep(self, episode: Episode, *, moved: bool = False) -> Episode:
        """Put an episode in the place of its former state."""
        self.changed[episode.id] = episode
        if moved:
            self.moved.add(episode.id)
        return episode

    def merge(self, episode: Episode, into: str) -> None:
        """Note that an episode became a part of another one."""
        self.merged[episode.id], self.into[episode.id] = episode, into
        self.changed.pop(episode.id, None)

    def episodes(self, key: Key, from_ms: int, until_ms: int, recent: Sequence[Episode] = ()) -> list[Episode]:
        """Return the episodes that overlap a span of time, in order of their opening.

        Args:
            key: place and category.
            from_ms: begin of the span.
            until_ms: end of the span.
            recent: episodes that are newer than what is stored.
        """
        known = {episode.id: episode for episode in self._stored(key, from_ms, until_ms).episodes}
        known |= {episode.id: episode for episode in recent}
        known |= {episode.id: episode for episode in self._changed_of(*key)}
        return sorted(
            (
                e
                for e in known.values()
                if e.id not in self.merged and e.opened_ms <= until_ms and e.last_ms >= from_ms
            ),
            key=lambda e: (e.opened_ms, e.id),
        )

    def _changed_of(self, place: str, category: str) -> Iterator[Episode]:
        return (e for e in self.changed.values() if e.place == place and e.category == category)

    def add_trace(self, place: str, category: str, trace: Trace) -> None:
        """Keep a trace."""
        self.traces[place, category] = {**self.traces.get((place, category), {}), trace.event: trace}

    def absorb(self, key: Key, from_ms: int, until_ms: int) -> list[Trace]:
        """Return the traces that begin in a span of time, and note that they became a part of an episode."""
        new, absorbed = self.traces.get(key, {}), self.absorbed.get(key, {})
        known = {trace.event: trace for trace in self._stored(key, from_ms, until_ms).traces} | new
        taken = [t for t in known.values() if from_ms <= t.start_ms <= until_ms and t.event not in absorbed]
        if taken:
            events = {trace.event for trace in taken}
            self.traces[key] = {event: trace for event, trace in new.items() if event not in events}
            self.absorbed[key] = absorbed | {trace.event: trace for trace in taken if trace.event not in new}
        return taken
