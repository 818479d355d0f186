"""Explain why a connection to the broker failed and how to fix it, for the `check` command of both programs.

The error of the connection is rarely enough: with TLS 1.3 a broker that refuses our certificate sends no reason. So
this module tests each layer by itself: the name, the port, the broker's certificate, our certificate, the login.
Source: RFC 8446, 6.2 (alerts); X509_V_ERR_* of OpenSSL's x509_vfy.h.
"""

import contextlib
import re
import socket
import ssl
from datetime import UTC, datetime
from typing import Any, Final

from shared.errors import InvalidError
from shared.mqtt.tls import tls_context
from shared.settings import MqttSettings

NEEDED: Final = "Earwitness needs MQTT 5 over TCP or TLS"
_SILENT: Final = "does not answer within"
PATIENCE_S: Final = 5.0
_PROBE_S: Final = 1.0
"""Timeout of each further test of a server that did not accept the connection."""
_REFUSAL_S: Final = 1.5
"""Seconds that a broker may take to refuse a certificate; one that accepts it waits for CONNECT."""
_TIME: Final = rb"(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)"
_VALIDITY: Final = re.compile(_TIME + rb"(?:\x17\x0d(?P<short>\d{12})Z|\x18\x0f(?P<long>\d{14})Z)")
_LABEL: Final = 63
"""Longest part of a host name. Source: RFC 1035, 2.3.4."""
_NOT_YET, _EXPIRED = 9, 10
_OTHER_NAME = frozenset({62, 64})
_RENEW: Final = "`earwitness-hub deployment renew DIR`, of a sensor with `--sensor SITE/NAME`, and copy it again"
_ALERTS: Final = {
    "UNKNOWN_CA": "was not made by the authority that it trusts at this port (sensors' and hubs' ports differ)",
    "CERTIFICATE_REVOKED": f"was revoked: make a new one, {_RENEW}",
    "CERTIFICATE_EXPIRED": f"has expired: make a new one, {_RENEW}",
    "CERTIFICATE_REQUIRED": "is missing: set mqtt.cert_file and mqtt.key_file",
    "BAD_CERTIFICATE": "cannot be used",
    "CERTIFICATE_UNKNOWN": "cannot be used",
    "DECRYPT_ERROR": "cannot be used",
    "HANDSHAKE_FAILURE": "is missing or cannot be used: set mqtt.cert_file and mqtt.key_file",
}


def explain_connection_failure(settings: MqttSettings, reason: str | None) -> str:
    """Return why a connection failed and how to fix it.

    Args:
        settings: settings of the connection.
        reason: error of the connection; None without one.
    """
    where = f"{settings.host}:{settings.port}"
    try:
        connection = socket.create_connection((settings.host, settings.port), timeout=PATIENCE_S)
    except (socket.gaierror, UnicodeError):  # UnicodeError: a part of the name is empty or too long
        return f"no broker at {where}: {_of_name(settings.host)}"
    except ConnectionRefusedError:
        return f"no broker at {where}: nothing listens there; start it, or correct mqtt.host and mqtt.port"
    except OSError as error:
        return f"no broker at {where}: the connection failed ({error}); check the network and firewalls"
    with contextlib.closing(connection):
        fault = _test_server(settings, connection, reason)
    return f"the broker at {where} {fault or _explain_reason(reason)}"


def _test_server(settings: MqttSettings, connection: socket.socket, reason: str | None) -> str | None:
    """Test TLS and HTTP on a server that did not accept the connection; return the fault, or None."""
    if reason is not None and _SILENT in reason:  # the connection has waited for an answer already
        silent = f"does not answer: {NEEDED}; correct mqtt.host and mqtt.port"
        return silent if settings.tls else _of_http(settings) or silent
    connection.settimeout(_PROBE_S)
    if settings.tls:
        return _of_tls(settings, connection)
    return _of_plain(settings, connection) or (_of_http(settings) if reason and NEEDED in reason else None)


def _explain_reason(reason: str | None) -> str:
    """Explain the error of the connection."""
    if reason is not None and any(word in reason.lower() for word in ("not authorized", "user name", "banned")):
        return f"refuses the login ({reason}): correct mqtt.username and mqtt.password_file, or the broker's accounts"
    if reason is None or NEEDED in reason:
        cause = "no answer" if reason is None else reason.replace(f" ({NEEDED})", "")
        return f"did not accept the connection ({cause}): {NEEDED}; correct mqtt.port, or use another broker"
    return f"did not accept the connection ({reason})"


def _of_http(settings: MqttSettings) -> str | None:
    """Return the fault if a web server answers, as at a port for MQTT over WebSocket."""
    where = (settings.host, settings.port)
    with contextlib.suppress(OSError), socket.create_connection(where, timeout=_PROBE_S) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if connection.recv(5) == b"HTTP/":
            return f"speaks HTTP at this port, as for websockets: {NEEDED}; correct mqtt.port"
    return None


def _of_name(host: str) -> str:
    """Explain why a host name has no address."""
    if "://" in host:
        return f"mqtt.host is {host!r}: write the name alone, without {host.partition('://')[0]}://"
    if host.startswith("[") or host.endswith("]"):
        return f"mqtt.host is {host!r}: write an IPv6 address without brackets"
    if host.count(":") == 1:
        return f"mqtt.host is {host!r}: write the name alone, and the port as mqtt.port"
    parts = host.rstrip(".").split(".")
    if host != host.strip() or " " in host or not all(0 < len(part) <= _LABEL for part in parts):
        return f"mqtt.host is {host!r}, which is no host name: no spaces, and 1 to {_LABEL} letters between dots"
    return f"the name {host} is unknown here; correct mqtt.host, or check DNS"


def broker_certificate_expiry(settings: MqttSettings) -> datetime | None:
    """Return when the broker's certificate expires; None without TLS, or if it cannot be read now."""
    if not settings.tls:
        return None
    with contextlib.suppress(OSError, ValueError, InvalidError):
        plain = socket.create_connection((settings.host, settings.port), timeout=PATIENCE_S)
        with (
            contextlib.closing(plain),
            tls_context(settings).wrap_socket(plain, server_hostname=settings.host) as secure,
        ):
            ends = (secure.getpeercert() or {}).get("notAfter")
            return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC)
    return None


def client_certificate_expiry(settings: MqttSettings) -> datetime | None:
    """Return when our certificate expires; None without one, or if it cannot be read.

    Source: RFC 5280, 4.1.2.5 (validity: two times, with two digits of the year until 2049, with four afterwards).
    """
    if settings.cert_file is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        validity = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(settings.cert_file.read_text(encoding="utf-8").strip()))
        if validity is not None:
            short, long = validity["short"], validity["long"]
            return datetime.strptime((long or b"20" + short).decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return None


def _of_tls(settings: MqttSettings, connection: socket.socket) -> str | None:
    try:
        with tls_context(settings).wrap_socket(connection, server_hostname=settings.host) as secure:
            secure.settimeout(_REFUSAL_S)
            secure.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _of_their_certificate(settings, error)
    except TimeoutError:
        return None
    except ssl.SSLError as error:
        if (words := _ALERTS.get(_alert_of(error))) is not None:
            return f"refuses our certificate: it {words}"
        return f"does not speak TLS at this port ({error.reason}): correct mqtt.port, or set mqtt.tls = false"
    except OSError as error:
        return f"ends the connection at once ({error}): is mqtt.port a TLS port?"
    return None


def _of_their_certificate(settings: MqttSettings, error: ssl.SSLCertVerificationError) -> str:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code in _OTHER_NAME:
        names = ", ".join(_names(settings)) or "other names"
        return f"has a certificate for {names}, not for {settings.host}: correct mqtt.host, or make a new certificate"
    if error.verify_code == _NOT_YET:
        return f"has a certificate that is not valid yet: this machine's clock is at {now}; set it"
    if error.verify_code == _EXPIRED:
        return (
            f"has a certificate that has expired (`earwitness-hub deployment renew DIR`), or this machine's clock is"
            f" wrong: {now}"
        )
    whose = settings.ca_file or "the system's authorities"
    return f"has a certificate that {whose} did not make ({error.verify_message}): correct mqtt.ca_file or mqtt.host"


def _names(settings: MqttSettings) -> list[str]:
    """Return the names in the broker's certificate, which is verified except for the name."""
    context = tls_context(settings)
    context.check_hostname = False
    with contextlib.suppress(OSError):
        plain = socket.create_connection((settings.host, settings.port), timeout=PATIENCE_S)
        with contextlib.closing(plain), context.wrap_socket(plain) as secure:
            certificate: dict[str, Any] = dict(secure.getpeercert() or {})
            return [name for _, name in certificate.get("subjectAltName", ())]
    return []


def _of_plain(settings: MqttSettings, connection: socket.socket) -> str | None:
    """Return the fault if the server speaks TLS although mqtt.tls is false."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # this connection carries no data
    try:
        with context.wrap_socket(connection, server_hostname=settings.host):
            return "speaks TLS at this port: set mqtt.tls = true and mqtt.ca_file, or correct mqtt.port"
    except ssl.SSLError as error:  # only TLS sends an alert
        return "speaks TLS at this port: set mqtt.tls = true" if _alert_of(error) else None
    except OSError:
        return None


def _alert_of(error: ssl.SSLError) -> str:
    """Return the name of the alert that the server sent, such as `UNKNOWN_CA`; "" if it sent none.

    Source: OpenSSL's sslerr.h; its reasons have the form `TLSV1_ALERT_UNKNOWN_CA`.
    """
    return (error.reason or "").partition("_ALERT_")[2]
