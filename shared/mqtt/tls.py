"""The TLS context of the connection to the broker."""

import ssl

from shared.errors import InvalidError
from shared.settings import MqttSettings


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Return the TLS context with the trusted authority and the client certificate of the settings.

    Raises:
        InvalidError: a file cannot be read, or cannot be used.
    """
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, name)
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise InvalidError(f"mqtt.{name} {path} cannot be read: {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidError(f"mqtt.key_file {settings.key_file} is not the key of mqtt.cert_file") from error
        raise InvalidError(f"mqtt.ca_file, cert_file or key_file cannot be used: {error.reason or error}") from error
    return context
