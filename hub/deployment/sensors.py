"""Write the folders of a deployment's sensors, and revoke sensors.

`ca/issued` keeps every certificate of a sensor: a replaced certificate stays valid until it expires, so it must be
revoked with the others.
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
"""Path of a sensor's folder on the sensor."""


def add_sensors(folder: Path, sensors: Iterable[str], now: datetime, *, renew: bool = False) -> list[Path]:
    """Write a folder for each sensor: its certificate, key and settings.

    Args:
        folder: folder of the deployment.
        sensors: sensors as `site/sensor`.
        now: current time, UTC.
        renew: whether existing sensors get a new certificate; their settings stay. Otherwise they stay unchanged.

    Returns:
        The written folders.

    Raises:
        InvalidError: a name cannot be used; then no folder was written.
    """
    places = [parse_sensor(sensor) for sensor in dict.fromkeys(sensors)]
    if not renew:
        places = [place for place in places if not _folder(folder, *place).exists()]
    authority = authority_of(folder, "sensors")
    issued = [(site, name, authority.issue(f"{site}/{name}", now)) for site, name in places]
    template = read(folder / "sensors" / "edge.toml").decode()
    for site, name, certificate in issued:
        target = _folder(folder, site, name)
        target.mkdir(parents=True, exist_ok=True)
        if (target / "sensor.crt").exists():
            _keep(folder, site, name, read(target / "sensor.crt"))  # an older version did not
        _keep(folder, site, name, certificate.certificate)
        write_pair(target, "sensor", certificate)
        write(target / "servers.crt", read(folder / "ca" / "servers.crt"))
        if not (target / "edge.toml").exists():
            write(target / "edge.toml", render_edge_toml(template, site, name))
    return [_folder(folder, site, name) for site, name in places]


def render_edge_toml(template: str, site: str, name: str) -> str:
    """Return a sensor's settings file from the template.

    Raises:
        InvalidError: the template does not have each of the lines `site = "site"` and `name = "sensor"` once.
    """
    for line, value in (('site = "site"', f'site = "{site}"'), ('name = "sensor"', f'name = "{name}"')):
        if template.splitlines().count(line) != 1:
            raise InvalidError(f"sensors/edge.toml needs the line {line} once, to replace it for each sensor")
        template = template.replace(line, value)
    return template


def revoke(folder: Path, sensor: str, now: datetime) -> None:
    """Revoke a sensor: add all its certificates to the broker's revocation list.

    Raises:
        InvalidError: the folder has no such sensor.
    """
    site, name = parse_sensor(sensor)
    authority = authority_of(folder, "sensors")
    current, issued = _folder(folder, site, name) / "sensor.crt", list(_issued(folder, site, name).glob("*.crt"))
    if current.exists() or not issued:
        issued.append(current)
    for certificate in issued:
        authority.revoke(read(certificate), now)
    for place in ("ca", "mosquitto"):
        write(folder / place / "sensors.crl", authority.revocations(now))


def parse_sensor(sensor: str) -> tuple[str, str]:
    """Split `site/sensor` into site and name.

    Raises:
        InvalidError: the text has another form.
    """
    site, slash, name = sensor.strip().partition("/")
    if not slash:
        raise InvalidError(f"{sensor!r}: write a sensor as site/sensor")
    SensorTopic(site, name, "state")
    return site, name


def _keep(folder: Path, site: str, name: str, certificate: bytes) -> None:
    """Store a certificate of a sensor for `revoke`."""
    issued = _issued(folder, site, name)
    issued.mkdir(parents=True, exist_ok=True)
    write(issued / f"{x509.load_pem_x509_certificate(certificate).serial_number:x}.crt", certificate)


def _folder(folder: Path, site: str, name: str) -> Path:
    return folder / "sensors" / site / name


def _issued(folder: Path, site: str, name: str) -> Path:
    return folder / "ca" / "issued" / site / name
