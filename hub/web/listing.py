"""Lists that both pages and API show: alerts, episodes and verdicts, filtered and in pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.verdicts import Verdict
from hub.store.event_queries import Cursor
from hub.web.context import WebContext
from hub.web.pagination import paginate
from hub.web.schemas import from_ms
from shared.messages.alert import AlertMessage, Severity
from shared.taxonomy import CATEGORIES

_BATCH: Final = 200
LOOKED_AT: Final = 2_000
"""Most alerts that one request reads; a page may be short and still have a next one."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """A filter of alerts; all pass by default."""

    site: str | None = None
    place: str | None = None
    category: str | None = None
    severity: Severity | None = None
    since: datetime | None = None

    def matches(self, alert: AlertMessage) -> bool:
        """Return whether an alert passes."""
        return (
            self.site in {None, alert.site}
            and self.place in {None, f"{alert.site}/{alert.sensor}"}
            and self.severity in {None, alert.severity}
            and (self.category is None or self.category in alert.categories)
        )


def alerts(
    parts: WebContext, wanted: AlertFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[AlertMessage], Cursor | None]:
    """Return a page of alerts, newest first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """
    chosen: list[AlertMessage] = []
    looked_at = 0
    while looked_at < LOOKED_AT:
        found, following = paginate(lambda n, ms: _before(parts, n, ms), _of_alert, _BATCH, after)
        for number, alert in enumerate(found):
            if wanted.since is not None and alert.captured_at < wanted.since:
                return chosen, None
            if wanted.matches(alert):
                chosen.append(alert)
                if len(chosen) == limit:
                    ended = number == len(found) - 1 and following is None
                    return chosen, None if ended else _of_alert(alert)
        if following is None:
            return chosen, None
        looked_at += len(found)
        after = following
    return chosen, after


def _before(parts: WebContext, limit: int, before_ms: int | None) -> list[AlertMessage]:
    return parts.archive.alerts.newest(limit=limit, before=None if before_ms is None else from_ms(before_ms))


def _of_alert(alert: AlertMessage) -> Cursor:
    return Cursor(to_ms(alert.captured_at), alert.event)


def episodes(
    parts: WebContext,
    *,
    limit: int,
    after: Cursor | None = None,
    since: datetime | None = None,
    place: str | None = None,
    category: str | None = None,
) -> tuple[list[Episode], Cursor | None]:
    """Return a page of episodes, newest first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """
    since_ms = None if since is None else to_ms(since)

    def one(where: str | None, what: str | None) -> Callable[[int, int | None], Sequence[Episode]]:
        return lambda n, ms: parts.episode_store.episodes(
            limit=n, before_ms=ms, since_ms=since_ms, place=where, category=what
        )

    if place is None and category is None:
        return paginate(one(None, None), _of_episode, limit, after)
    # Redis has one index per pair of place and category: merge those that the filter asks for.
    places = [place] if place else [sensor.place for sensor in parts.archive.sensors.all()]
    lists = [one(where, what) for where in places for what in ([category] if category else CATEGORIES)]

    def merged(n: int, ms: int | None) -> list[Episode]:
        found = [episode for fetch in lists for episode in fetch(n, ms)]
        return sorted(found, key=_of_episode, reverse=True)[:n]

    return paginate(merged, _of_episode, limit, after)


def _of_episode(episode: Episode) -> Cursor:
    return Cursor(episode.opened_ms, episode.id)


def verdicts(parts: WebContext, *, limit: int, after: Cursor | None = None) -> tuple[list[Verdict], Cursor | None]:
    """Return a page of verdicts, newest first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """

    def before(n: int, ms: int | None) -> list[Verdict]:
        return parts.feedback.verdicts(limit=n, before=None if ms is None else from_ms(ms))

    return paginate(before, lambda verdict: Cursor(to_ms(verdict.at), verdict.subject), limit, after)
