"""Find what each event resembles among those before it, without clips of its own episodes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.alerting.detector import AlertDetector
from hub.domain.alert_rule import SearchResult
from hub.domain.alerts import build_match
from hub.domain.match import Match
from hub.domain.records import StoredEvent, to_ms
from hub.search.backend import Exclusion, Query, exclude_recent_from_sensor
from hub.search.retrieval import Retrieval
from shared.messages.alert import MatchMessage
from shared.taxonomy import COUNT

MATCHES: Final = 10
"""Least number of matches per search: calibrations were measured on the ten best."""
_CROWDED: Final = 5
"""From this number of matches of its own sensor within a day, an event's own episode may crowd the answer."""
_DAY_MS: Final = 86_400_000


class Matcher:
    """Finds matches of events that are archived and findable.

    Args:
        retrieval: finds similar past events.
        detector: knows which episodes events go on with.
    """

    def __init__(self, retrieval: Retrieval, detector: AlertDetector) -> None:
        self._retrieval = retrieval
        self._detector = detector

    def found(self, events: Sequence[StoredEvent], towers: Sequence[npt.NDArray[np.float32]]) -> list[SearchResult]:
        """Return the matches of each event among those before it.

        Args:
            events: in the order they came.
            towers: float32 [steps, width] of each.

        Raises:
            UnavailableError: the store is away.
        """
        rule = self._detector.rule
        ids = [str(event.id) for event in events]
        requests = []
        for number, (event, own) in enumerate(zip(events, towers, strict=True)):
            exclusion = exclude_recent_from_sensor(
                ids[number:], event.place, event.captured_at, rule.exclude_same_sensor_s
            )
            requests.append((event.space, Query(own, max(rule.max_matches, MATCHES), exclusion, keep_place=False)))
        answers = self._retrieval.search_all(requests)
        self._look_past_own_episodes(events, requests, answers)
        similar: list[SearchResult] = [SearchResult((), np.empty((0, COUNT), dtype=np.float32))] * len(events)
        for space in {space for space, _ in requests}:
            rows = [row for row, (own_space, _) in enumerate(requests) if own_space == space]
            matches = [match for row in rows for match in answers[row]]
            every = self._retrieval.match_probability(space, matches, rule.min_shared)
            known = self._retrieval.knows_sources(space)
            sources = self._retrieval.same_source(space, matches if known else [])
            ends = np.cumsum([len(answers[row]) for row in rows])[:-1]
            parts = zip(np.split(every, ends), np.split(sources, ends if known else 0 * ends), strict=True)
            for row, (match_probability, same_source) in zip(rows, parts, strict=True):
                similar[row] = SearchResult(answers[row], match_probability, same_source)
        return similar

    def _look_past_own_episodes(
        self, events: Sequence[StoredEvent], requests: Sequence[tuple[str, Query]], answers: list[list[Match]]
    ) -> None:
        """Search again for events whose own long episode crowds the answer: the detector counts none of its clips."""
        crowded = [row for row, event in enumerate(events) if _crowded(event, answers[row])]
        if not crowded:
            return
        spans = self._detector.own_spans([events[row] for row in crowded])
        again = {row: span for row, span in zip(crowded, spans, strict=True) if span is not None}
        further = [
            (space, replace(query, exclusion=_around(query.exclusion, *again[row])))
            for row in again
            for space, query in [requests[row]]
        ]
        for row, found in zip(again, self._retrieval.search_all(further), strict=True):
            best = {match.event: match for match in (*answers[row], *found)}
            answers[row] = sorted(best.values(), key=lambda match: -match.rank)


def match_messages(
    retrieval: Retrieval, space: str, matches: Sequence[Match], min_shared: float
) -> list[MatchMessage]:
    """Return the matches of a query as messages, with P(same kind) and P(same source).

    Raises:
        UnsupportedError: no model for this space.
    """
    if not matches:
        return []
    match_probability = retrieval.match_probability(space, matches, min_shared).max(axis=1).clip(0.0, 1.0)
    sources = retrieval.same_sources(space, matches)
    return [
        build_match(match, min_shared, float(kind), source)
        for match, kind, source in zip(matches, match_probability, sources, strict=True)
    ]


def _crowded(event: StoredEvent, matches: Sequence[Match]) -> bool:
    at_ms = to_ms(event.captured_at)
    own = sum(match.place == event.place and abs(match.captured_ms - at_ms) < _DAY_MS for match in matches)
    return own >= _CROWDED


def _around(exclusion: Exclusion, from_ms: int, until_ms: int) -> Exclusion:
    """Return the exclusion widened to a span of time of the event's sensor."""
    from_ms = min(from_ms, exclusion.around_ms - exclusion.within_ms)
    until_ms = max(until_ms, exclusion.around_ms + exclusion.within_ms)
    middle_ms = (from_ms + until_ms) // 2
    return replace(exclusion, around_ms=middle_ms, within_ms=until_ms - middle_ms)
