"""Findings of `check` about certificates, with certificates of real authorities and a server that speaks TLS."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from edge.tls_check import try_tls
from hub.deployment.certificate_authority import CLIENT_DAYS, SERVER_DAYS, Authority
from shared.errors import InvalidError, UnavailableError
from shared.settings import MqttSettings

NOW = datetime.now(UTC)
RENEW = "`earwitness-hub deployment renew"


@cache
def authority() -> Authority:
    """The authority that the sensor trusts."""
    return Authority.create("servers", NOW - timedelta(days=1_000))


def written(
    folder: Path, name: str, *, of: Authority | None = None, age_days: int = 0, hosts: tuple[str, ...] = ()
) -> Path:
    """A certificate and its key, as NAME.crt and NAME.key; the path of the certificate."""
    issued = (of or authority()).issue(name, NOW - timedelta(days=age_days), hosts=hosts)
    (folder / f"{name}.key").write_bytes(issued.key)
    (folder / f"{name}.crt").write_bytes(issued.certificate)
    return folder / f"{name}.crt"


@contextmanager
def server(certificate: Path) -> Iterator[int]:
    """A server that accepts TLS connections with a certificate; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listening.accept()
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def settings(folder: Path, port: int, **others: object) -> MqttSettings:
    (folder / "servers.crt").write_bytes(authority().certificate_pair().certificate)
    values: dict[str, object] = {"host": "localhost", "port": port, "tls": True, "ca_file": folder / "servers.crt"}
    return MqttSettings.model_validate(values | others)


def finding(folder: Path, certificate: Path, **others: object) -> str:
    with server(certificate) as port:
        return try_tls(settings(folder, port, **others))


def day(age_days: int, lifetime_days: int) -> str:
    return f"{NOW + timedelta(days=lifetime_days - age_days):%Y-%m-%d}"


def test_valid_certificates_are_named_with_their_ends(tmp_path: Path) -> None:
    theirs = written(tmp_path, "broker", hosts=("localhost",), age_days=100)
    ours = written(tmp_path, "sensor", age_days=200)
    found = finding(tmp_path, theirs, cert_file=ours, key_file=ours.with_suffix(".key"))
    broker, sensor = day(100, SERVER_DAYS), day(200, CLIENT_DAYS)
    assert found == f"the broker's certificate is valid until {broker}; this sensor's until {sensor}"


def test_a_certificate_that_expires_soon_is_named_with_what_writes_another(tmp_path: Path) -> None:
    theirs = written(tmp_path, "broker", hosts=("localhost",), age_days=SERVER_DAYS - 20)
    assert f"valid until {day(0, 20)}, soon: {RENEW}" in finding(tmp_path, theirs)


@pytest.mark.parametrize(
    ("age_days", "host", "stated", "fix"),
    [
        (SERVER_DAYS + 10, "localhost", "has a certificate that has expired", f"{RENEW} DIR`"),
        (-10, "localhost", "that is not valid yet: this machine's clock is at", "set it"),
        (0, "other.example", "has a certificate for other.example, not for localhost", "correct mqtt.host"),
    ],
)
def test_a_certificate_that_is_not_accepted_fails_with_what_to_do(
    tmp_path: Path, age_days: int, host: str, stated: str, fix: str
) -> None:
    theirs = written(tmp_path, "broker", hosts=(host,), age_days=age_days)
    with pytest.raises(UnavailableError) as found:
        finding(tmp_path, theirs)
    assert stated in str(found.value)
    assert fix in str(found.value)


def test_a_certificate_of_another_authority_fails_with_the_setting_to_correct(tmp_path: Path) -> None:
    theirs = written(tmp_path, "broker", of=Authority.create("others", NOW), hosts=("localhost",))
    with pytest.raises(UnavailableError, match=r"servers\.crt did not make .*: correct mqtt\.ca_file or mqtt\.host"):
        finding(tmp_path, theirs)


def test_a_sensors_own_certificate_that_has_expired_fails_even_without_a_broker(tmp_path: Path) -> None:
    ours = written(tmp_path, "sensor", age_days=CLIENT_DAYS + 1)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    own = settings(tmp_path, port, cert_file=ours, key_file=ours.with_suffix(".key"))
    with pytest.raises(InvalidError, match=rf"expired on {day(1, 0)}: {RENEW}"):
        try_tls(own)
    with pytest.raises(
        UnavailableError, match=r"nothing listens there; start it, or correct mqtt\.host and mqtt\.port"
    ):
        try_tls(settings(tmp_path, port))


def test_a_file_that_is_missing_is_named_with_its_setting(tmp_path: Path) -> None:
    theirs = written(tmp_path, "broker", hosts=("localhost",))
    with pytest.raises(InvalidError, match=r"mqtt\.ca_file .*none\.crt cannot be read: No such file"):
        finding(tmp_path, theirs, ca_file=tmp_path / "none.crt")


def test_a_server_without_tls_fails_with_the_settings_to_correct(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_speak_plainly, args=(listening,), daemon=True).start()
        with pytest.raises(UnavailableError, match=r"does not speak TLS .*: correct mqtt\.port, or set mqtt\.tls"):
            try_tls(settings(tmp_path, listening.getsockname()[1]))
        listening.shutdown(socket.SHUT_RDWR)


def _speak_plainly(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listening.accept()[0] as connection:
                connection.recv(1_024)
                connection.sendall(b"220 mail.example ready\r\n")
