"""What recurs at a place: episodes of one category, read from the casebook and put into a pattern."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from hub.casebook import Casebook
from hub.flagging.episode import Episode
from hub.flagging.recurrence import Pattern, Span, pattern
from hub.places import Places
from hub.stored import ms_of

MOST: Final = 2_000
"""Episodes looked at, the newest."""


class Patterns:
    """Patterns of episodes.

    Args:
        casebook: where episodes are.
        places: for the time zone.
        history_days: how far back episodes are looked at.
    """

    def __init__(self, casebook: Casebook, places: Places, history_days: float) -> None:
        self._casebook = casebook
        self._places = places
        self._history = timedelta(days=history_days)

    def pattern(self, place: str, category: str, now: datetime) -> Pattern:
        """How often, when and how regularly a category is heard at a place, and when it is likely next.

        Args:
            place: `site/sensor`.
            category: of the taxonomy.
            now: what comes later is not looked at.

        Raises:
            Unavailable: the store is away.
        """
        since_ms, now_ms = ms_of(now - self._history), ms_of(now)
        heard = self._casebook.heard_hours(place, since_ms, now_ms)
        spans = [Span(e.opened_ms, e.last_ms) for e in reversed(self._episodes(place, category, now))]
        return pattern(spans, heard, now, self._places.timezone)

    def days(self, place: str, category: str, now: datetime) -> dict[date, float]:
        """Hours of each local day, in [0, 24], in which a category was heard at a place, as far as it was."""
        made: dict[date, float] = {}
        for episode in self._episodes(place, category, now):
            at = datetime.fromtimestamp(episode.opened_ms / 1000, self._places.timezone)
            end = datetime.fromtimestamp(episode.last_ms / 1000, self._places.timezone)
            while at < end:
                midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), at.tzinfo)
                until = min(end, midnight)
                hours = (until - at).total_seconds() / 3600
                made[at.date()] = min(24.0, made.get(at.date(), 0.0) + hours)
                at = until
        return dict(sorted(made.items()))

    def _episodes(self, place: str, category: str, now: datetime) -> Sequence[Episode]:
        since_ms = ms_of(now - self._history)
        return self._casebook.episodes(
            limit=MOST, before_ms=ms_of(now) + 1, since_ms=since_ms, place=place, category=category
        )
