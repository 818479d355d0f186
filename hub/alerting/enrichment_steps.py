"""Enrich alerts before they are dispatched, in two steps: recurrence and severity, then their source."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.alerting.enrichment import AlertEnricher
from hub.alerting.source_enrichment import SourceEnricher
from shared.messages.alert import AlertMessage


@dataclass(frozen=True, slots=True)
class EnrichmentSteps:
    """Enriches alerts for the dispatcher.

    Attributes:
        enricher: adds recurrence, linked episodes and severity.
        sources: adds the source of the episode.
    """

    enricher: AlertEnricher
    sources: SourceEnricher

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Return the alerts with all that the hub knows about them; the same for a repeated call.

        Raises:
            UnavailableError: Redis does not answer.
        """
        return self.sources.enrich(self.enricher.enrich(alerts))
