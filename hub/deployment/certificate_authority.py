"""Certificate authorities: a deployment has one for servers and hubs, and one for sensors.

1. Sensors and hubs verify the broker by the servers' authority.
2. The broker accepts clients at the sensors' port only by the sensors' authority, and at the hubs' port only by the
   servers' authority. So the certificate of a stolen sensor is useless elsewhere, whatever its name.
3. A certificate's common name is the user name at the broker: `hub`, `listener`, or a sensor's `site/sensor`.

Keys are on the curve P-256, which every TLS 1.2 and 1.3 stack supports. A Pi signs with it in a millisecond.
Source: RFC 5280 (4.2.1, extensions; 5, revocation lists; appendix A.1, 64 characters of a common name); RFC 1123
(2.1, names of hosts).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import InvalidError

NAME_CAP: Final = 64
"""Maximum characters of a common name."""
AUTHORITY_DAYS: Final = 20 * 365
SERVER_DAYS: Final = 825
"""Longest lifetime of a server's certificate that common clients accept."""
CLIENT_DAYS: Final = 5 * 365
BACKDATED: Final = timedelta(days=1)
"""Certificates are valid from a day before their issue, for devices that start with a clock in the past."""

_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """One certificate authority, with the list of certificates it has revoked.

    Args:
        certificate: certificate of the authority.
        key: key of the authority.
        revoked: its current revocation list, or None.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        revoked: x509.CertificateRevocationList | None = None,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._revoked = list(revoked) if revoked is not None else []

    @classmethod
    def create(cls, name: str, now: datetime) -> "Authority":
        """Create an authority.

        Args:
            name: its common name, the issuer of its certificates.
            now: current time, UTC.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _begun(subject, subject, key, now, timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, certificate: Path, key: Path, revoked: Path) -> "Authority":
        """Read an authority from its files.

        Raises:
            InvalidError: a file is missing or damaged.
        """
        try:
            private = serialization.load_pem_private_key(key.read_bytes(), None)
            own = x509.load_pem_x509_certificate(certificate.read_bytes())
            crl = x509.load_pem_x509_crl(revoked.read_bytes())
        except OSError as error:
            raise InvalidError(f"the authority's {error.filename} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise InvalidError(f"the authority in {certificate.parent} is damaged: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise InvalidError(f"{key} is not an elliptic-curve key, as `deployment create` makes them")
        return cls(own, private, crl)

    def certificate_pair(self) -> IssuedCertificate:
        """Return the certificate and key of the authority itself."""
        return IssuedCertificate(self._certificate.public_bytes(serialization.Encoding.PEM), _written(self._key))

    def issue(self, name: str, now: datetime, *, hosts: Sequence[str] = ()) -> IssuedCertificate:
        """Return a new key and its certificate.

        Args:
            name: common name, which the broker uses as the user name.
            now: current time, UTC.
            hosts: names and addresses of a server; empty for a client.

        Raises:
            InvalidError: the name is too long, or a host is neither a name nor an address.
        """
        if len(name) > NAME_CAP:
            raise InvalidError(f"{name!r} has {len(name)} characters; a certificate's name has at most {NAME_CAP}")
        key = ec.generate_private_key(ec.SECP256R1())
        days = SERVER_DAYS if hosts else CLIENT_DAYS
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _begun(subject, self._certificate.subject, key, now, timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([validate_host(host) for host in hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return IssuedCertificate(certificate.public_bytes(serialization.Encoding.PEM), _written(key))

    def revoke(self, certificate: bytes, now: datetime) -> None:
        """Add a certificate (PEM) to the revocation list, unless it is listed already.

        Raises:
            InvalidError: not a certificate of this authority.
        """
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            parsed.verify_directly_issued_by(self._certificate)
        except Exception as error:
            raise InvalidError("this is not a certificate of this authority") from error
        if all(entry.serial_number != parsed.serial_number for entry in self._revoked):
            entry = x509.RevokedCertificateBuilder().serial_number(parsed.serial_number).revocation_date(now)
            self._revoked.append(entry.build())

    def revocations(self, now: datetime) -> bytes:
        """Return the revocation list as PEM. It never expires: with an expired list a broker rejects all clients."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - BACKDATED)
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(len(self._revoked) + 1), critical=False)
        )
        for entry in self._revoked:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def validate_host(host: str) -> x509.GeneralName:
    """Return a host as a certificate names it.

    Raises:
        InvalidError: the host is neither a name nor an address.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise InvalidError(
            f"{host!r} is neither a host's name in ASCII nor an address: write broker.example or 192.0.2.7, without"
            " mqtts:// and port"
        )
    return x509.DNSName(host)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - BACKDATED)
        .not_valid_after(now.astimezone(UTC) + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _written(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
