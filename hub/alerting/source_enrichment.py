"""Adds to alerts which source they are about: how often it was detected, since when, how regularly, and when next."""

from collections.abc import Sequence

from hub.alerting.enrichment import AFTER, window_message
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.domain.sources import Member
from hub.store.sources import SourceStore
from shared.messages.alert import AlertMessage, SourceMessage


class SourceEnricher:
    """Adds to alerts which source they are about.

    Args:
        filer: finds the source.
        store: of sources.
        histories: returns how often sources were detected.
    """

    def __init__(self, filer: SourceFiler, store: SourceStore, histories: SourceHistories) -> None:
        self._filer = filer
        self._store = store
        self._histories = histories

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Return the alerts with the sources of their episodes; as they are if an episode is of none.

        Raises:
            UnavailableError: the store is away.
        """
        names = sorted({alert.episode for alert in alerts if alert.episode})
        self._filer.catch_up(names)
        episodes = self._store.present(names)
        members = self._store.members({episode.id for episode in episodes.values()})
        filed = {name: members[episode.id] for name, episode in episodes.items() if episode.id in members}
        known = [alert for alert in alerts if alert.episode in filed]
        asked = [(filed[alert.episode].source, alert.captured_at + AFTER) for alert in known]
        patterns = iter(self._histories.patterns(asked))
        return [
            _with_source(alert, filed[alert.episode], next(patterns)) if alert.episode in filed else alert
            for alert in alerts
        ]


def _with_source(alert: AlertMessage, member: Member, found: RecurrenceSummary) -> AlertMessage:
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
