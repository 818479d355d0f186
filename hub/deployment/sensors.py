"""Sensors of a deployment: each one's folder, and shutting one out.

Every certificate that a sensor was given is kept in `ca/issued`: one that was renewed is valid until it ends, and so
must be revoked with the others.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from hub.deployment.atomic_files import authority_of, read, write, write_pair
from shared.errors import InvalidError
from shared.mqtt.topics import SensorTopic

SENSOR_FOLDER: Final = "/etc/earwitness"
"""Where a sensor's folder is on the sensor."""


def add_sensors(folder: Path, sensors: Iterable[str], now: datetime, *, renew: bool = False) -> list[Path]:
    """Write a folder for each sensor: its certificate, key and settings.

    Args:
        folder: of the deployment.
        sensors: as `site/sensor`.
        now: the time, UTC.
        renew: whether sensors that have a folder get a new certificate; their settings stay. If not, they are
            left as they are.

    Returns:
        The folders that were written.

    Raises:
        Invalid: a name that cannot be used; then none was written.
    """
    places = [parse_sensor(sensor) for sensor in dict.fromkeys(sensors)]
    if not renew:
        places = [place for place in places if not _folder(folder, *place).exists()]
    authority = authority_of(folder, "sensors")
    issued = [(site, name, authority.issue(f"{site}/{name}", now)) for site, name in places]
    template = read(folder / "sensors" / "edge.toml").decode()
    for site, name, certificate in issued:
        own = _folder(folder, site, name)
        own.mkdir(parents=True, exist_ok=True)
        if (own / "sensor.crt").exists():
            _keep(folder, site, name, read(own / "sensor.crt"))  # an older version did not
        _keep(folder, site, name, certificate.certificate)
        write_pair(own, "sensor", certificate)
        write(own / "servers.crt", read(folder / "ca" / "servers.crt"))
        if not (own / "edge.toml").exists():
            write(own / "edge.toml", render_edge_toml(template, site, name))
    return [_folder(folder, site, name) for site, name in places]


def render_edge_toml(template: str, site: str, name: str) -> str:
    """A sensor's settings, from those of all.

    Raises:
        Invalid: the template no longer has its lines `site = "site"` and `name = "sensor"`.
    """
    for line, own in (('site = "site"', f'site = "{site}"'), ('name = "sensor"', f'name = "{name}"')):
        if template.splitlines().count(line) != 1:
            raise InvalidError(f"sensors/edge.toml needs the line {line} once: it becomes each sensor's own")
        template = template.replace(line, own)
    return template


def revoke(folder: Path, sensor: str, now: datetime) -> None:
    """Shut a sensor out: put all certificates it ever had on the broker's list.

    Raises:
        Invalid: there is no such sensor in this folder.
    """
    site, name = parse_sensor(sensor)
    authority = authority_of(folder, "sensors")
    own, given = _folder(folder, site, name) / "sensor.crt", list(_issued(folder, site, name).glob("*.crt"))
    if own.exists() or not given:
        given.append(own)
    for certificate in given:
        authority.revoke(read(certificate), now)
    for place in ("ca", "mosquitto"):
        write(folder / place / "sensors.crl", authority.revocations(now))


def parse_sensor(sensor: str) -> tuple[str, str]:
    """Site and name of a sensor that is written `site/sensor`.

    Raises:
        Invalid: it is not.
    """
    site, slash, name = sensor.strip().partition("/")
    if not slash:
        raise InvalidError(f"{sensor!r}: write a sensor as site/sensor")
    SensorTopic(site, name, "state")
    return site, name


def _keep(folder: Path, site: str, name: str, certificate: bytes) -> None:
    """Remember a certificate of a sensor for `revoke`."""
    issued = _issued(folder, site, name)
    issued.mkdir(parents=True, exist_ok=True)
    write(issued / f"{x509.load_pem_x509_certificate(certificate).serial_number:x}.crt", certificate)


def _folder(folder: Path, site: str, name: str) -> Path:
    return folder / "sensors" / site / name


def _issued(folder: Path, site: str, name: str) -> Path:
    return folder / "ca" / "issued" / site / name
