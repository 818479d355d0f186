"""A look at the certificates of the connection to the broker: on the day that one ends, nothing connects any more."""

from datetime import datetime

from hub.metrics.definitions import HubMetrics
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry
from shared.settings import MqttSettings


class CertificateProbe:
    """Tells when they end.

    Args:
        mqtt: where the broker is, and the hub's own certificate.
        metrics: where it is told.
    """

    def __init__(self, mqtt: MqttSettings, metrics: HubMetrics) -> None:
        self._mqtt = mqtt
        self._metrics = metrics

    def run(self, _now: datetime) -> None:
        """Ask the broker for its certificate, and read the hub's; one that cannot be told now is left out."""
        ends = {"broker": broker_certificate_expiry(self._mqtt), "hub": client_certificate_expiry(self._mqtt)}
        self._metrics.certificate_end.replace_all(
            {(of,): end.timestamp() for of, end in ends.items() if end is not None}
        )

    def on_store_unavailable(self) -> None:
        """Nothing: it asks no store."""
