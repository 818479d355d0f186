"""Enrich an alert before it is dispatched, in two steps: recurrence and severity, then its source."""

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

    def enrich(self, alert: AlertMessage) -> AlertMessage:
        """Return the alert with all that the hub knows about it; the same for a repeated call.

        Raises:
            UnavailableError: Redis does not answer.
        """
        return self.sources.enrich(self.enricher.enrich(alert))
