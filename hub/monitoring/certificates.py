"""A look at the certificates of the connection to the broker: on the day that one ends, nothing connects any more."""

from datetime import datetime

from hub.metrics.definitions import HubMetrics
from shared.mqtt.diagnostics import certificate_ends, own_certificate_ends
from shared.settings import MqttSettings


class CertificateLook:
    """Tells when they end.

    Args:
        mqtt: where the broker is, and the hub's own certificate.
        metrics: where it is told.
    """

    def __init__(self, mqtt: MqttSettings, metrics: HubMetrics) -> None:
        self._mqtt = mqtt
        self._metrics = metrics

    def look(self, _now: datetime) -> None:
        """Ask the broker for its certificate, and read the hub's; one that cannot be told now is left out."""
        ends = {"broker": certificate_ends(self._mqtt), "hub": own_certificate_ends(self._mqtt)}
        self._metrics.certificate_end.put({(of,): end.timestamp() for of, end in ends.items() if end is not None})

    def lost(self) -> None:
        """Nothing: it asks no store."""
