"""Test the certificates of broker and sensor for `earwitness-edge check`."""

from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import InvalidError, UnavailableError
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry, explain_connection_failure
from shared.settings import MqttSettings

WARNED_AHEAD: Final = timedelta(days=30)
"""`check` warns of a certificate that expires within this time."""
_RENEW: Final = "`earwitness-hub deployment renew` writes a new one"


def try_tls(mqtt: MqttSettings) -> str:
    """Return until when the certificates are valid, as text, with what to do about one that expires soon.

    Args:
        mqtt: settings of the connection.

    Raises:
        UnavailableError: there is no TLS connection to the broker; the message names the cause and what to do.
        InvalidError: the sensor's certificate has expired, or a file of the settings cannot be used.
    """
    now = datetime.now(UTC)
    if not mqtt.tls:
        return (
            "not used: anyone on the way can read and change what the sensor sends; set mqtt.tls and mqtt.ca_file"
            " (`earwitness-hub deployment create` writes certificates)"
        )
    ours, theirs = client_certificate_expiry(mqtt), broker_certificate_expiry(mqtt)
    if ours is not None and ours < now:
        raise InvalidError(f"this sensor's certificate expired on {ours:%Y-%m-%d}: {_RENEW}")
    if theirs is None:
        raise UnavailableError(explain_connection_failure(mqtt, None))
    words = [f"the broker's certificate is valid until {theirs:%Y-%m-%d}{_soon(theirs, now)}"]
    if ours is not None:
        words.append(f"this sensor's until {ours:%Y-%m-%d}{_soon(ours, now)}")
    return "; ".join(words)


def _soon(ends: datetime, now: datetime) -> str:
    return f", soon: {_RENEW}" if ends - now < WARNED_AHEAD else ""
