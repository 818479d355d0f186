"""Adds to alerts which source they are about: how often it was detected, since when, how regularly, and when next."""

from datetime import timedelta
from typing import Final

from hub.alerting.enrichment import window_message
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.store.sources import SourceStore
from shared.messages.alert import AlertMessage, SourceMessage

_AFTER: Final = timedelta(seconds=1)


class SourceEnricher:
    """Adds to alerts which source they are about.

    Args:
        filer: finds the source.
        store: of sources.
        histories: returns how often a source was detected.
    """

    def __init__(self, filer: SourceFiler, store: SourceStore, histories: SourceHistories) -> None:
        self._filer = filer
        self._store = store
        self._histories = histories

    def enrich(self, alert: AlertMessage) -> AlertMessage:
        """Return the alert with the source of its episode; as it is if the episode is of none.

        Raises:
            UnavailableError: the store is away.
        """
        if not alert.episode:
            return alert
        self._filer.catch_up(alert.episode)
        episode = self._store.episode(alert.episode)
        member = None if episode is None else self._store.members([episode.id]).get(episode.id)
        if member is None:
            return alert
        found = self._histories.pattern(member.source, alert.captured_at + _AFTER)
        if not found.times or found.first_at is None:
            return alert
        source = SourceMessage(
            id=member.source,
            new=found.times == 1,
            probability=min(1.0, max(0.0, member.probability)),
            times=found.times,
            days=found.days,
            since=found.first_at,
            regularity=found.regularity,
            next=window_message(found),
        )
        return alert.model_copy(update={"source": source})
