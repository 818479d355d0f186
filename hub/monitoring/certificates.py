"""Probe of the certificates of the connection to the broker, which fails when one of them expires."""

from datetime import datetime

from hub.metrics.definitions import HubMetrics
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry
from shared.settings import MqttSettings


class CertificateProbe:
    """Exports the expiry times of the certificates.

    Args:
        mqtt: connection to the broker, with the hub's certificate.
        metrics: the hub's metrics.
    """

    def __init__(self, mqtt: MqttSettings, metrics: HubMetrics) -> None:
        self._mqtt = mqtt
        self._metrics = metrics

    def run(self, _now: datetime) -> None:
        """Fetch the broker's certificate and read the hub's; skip one that is not available."""
        ends = {"broker": broker_certificate_expiry(self._mqtt), "hub": client_certificate_expiry(self._mqtt)}
        self._metrics.certificate_end.replace_all(
            {(of,): end.timestamp() for of, end in ends.items() if end is not None}
        )

    def on_store_unavailable(self) -> None:
        """Do nothing, as this probe does not use Redis."""
