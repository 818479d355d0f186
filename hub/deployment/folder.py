"""The folder that `earwitness-hub init` writes, and what may change in it later.

    ca/            both authorities with their keys: keep it away from every server
    mosquitto/ redis/ hub/ prometheus/ alertmanager/     each server's configuration, keys and passwords
    listener/      a certificate for whoever wants to hear alerts on MQTT
    sensors/       edge.toml, from which every sensor's is made, and a folder per sensor to be copied onto it whole
    data/          what servers write, unless they have places of their own
    NEXT.md        what to do next

It is written beside its place and moved there when it is whole: a failure leaves nothing behind. Files with keys or
passwords are readable by their owner only.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

import jinja2
from cryptography import x509

from hub.deployment.authority import Authority, Issued
from hub.deployment.layout import SERVERS, Layout, below
from hub.settings import HubSettings
from shared.commented import commented
from shared.errors import Invalid
from shared.messages import EVENT_CAP_BYTES
from shared.topics import ALL_INTAKES, ROOT, SensorTopic, ToldKind

SENSOR_FOLDER: Final = "/etc/earwitness"
"""Where a sensor's folder is on the sensor."""
AUTHORITIES: Final = ("servers", "sensors")
CLIENTS: Final = ("hub", "listener")
IMPORTANT: Final[dict[str, tuple[str, ...]]] = {
    "hub": ("name", "group"),
    "mqtt": ("keepalive_s", "session_expiry_s"),
    "redis": ("timeout_s",),
    "archive": ("retention_days", "clips_dir", "dead_letter_limit"),
    "model": ("weights_dir", "space"),
    "intake": ("capacity",),
    "search": ("backend", "snapshot_dir"),
    "flagging": ("false_alerts_a_day", "threshold", "min_above_ambient_db"),
    "places": ("timezone", "positions"),
    "notify": ("page_url",),
    "web": ("host", "port"),
    "log": ("level", "format"),
}
"""What an operator is most likely to change, and is therefore shown although it is not set."""
_QUEUE_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a new deployment is like.

    Attributes:
        layout: where everything will be.
        brokers: names and addresses under which sensors reach the broker, the one they will use first.
        page_url: the hub's pages as people reach them, if not as the hub sees itself.
        timezone: IANA name.
        webhook: where Alertmanager tells people, or None.
        edge_toml: what every sensor's settings are made from.
    """

    layout: Layout
    brokers: Sequence[str]
    page_url: str | None
    timezone: str
    webhook: str | None
    edge_toml: str


def found(folder: Path, plan: Plan, now: datetime) -> None:
    """Write a new deployment.

    Raises:
        Invalid: the folder is there already, or cannot be written, or a name that cannot be used.
    """
    if folder.exists():
        raise Invalid(f"{folder} is there already; nothing was written: name a folder that is not there yet")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_all(partial, plan, now)
        partial.rename(folder)
    except OSError as error:
        raise Invalid(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def add_sensors(folder: Path, sensors: Iterable[str], now: datetime, *, renew: bool = False) -> list[Path]:
    """Write a folder for each sensor: its certificate, key and settings.

    Args:
        folder: of the deployment.
        sensors: as `site/sensor`.
        now: the time, UTC.
        renew: whether sensors that have a folder get a new certificate; their settings stay.

    Returns:
        The sensors' folders.

    Raises:
        Invalid: a name that cannot be used, or a sensor that has a folder already; then none was written.
    """
    places = [place_of(sensor) for sensor in dict.fromkeys(sensors)]
    there = [f"{site}/{name}" for site, name in places if (folder / "sensors" / site / name).exists()]
    if there and not renew:
        raise Invalid(f"{', '.join(there)}: there already; nothing was written. New certificates: --renew")
    authority = _authority(folder, "sensors")
    issued = [(site, name, authority.issue(f"{site}/{name}", now)) for site, name in places]
    template = _read(folder / "sensors" / "edge.toml").decode()
    for site, name, certificate in issued:
        own = folder / "sensors" / site / name
        own.mkdir(parents=True, exist_ok=True)
        _write_pair(own, "sensor", certificate)
        _write(own / "servers.crt", _read(folder / "ca" / "servers.crt"))
        if not (own / "edge.toml").exists():
            _write(own / "edge.toml", named(template, site, name))
    return [folder / "sensors" / site / name for site, name in places]


def named(template: str, site: str, name: str) -> str:
    """A sensor's settings, from those of all.

    Raises:
        Invalid: the template no longer has its lines `site = "site"` and `name = "sensor"`.
    """
    for line, own in (('site = "site"', f'site = "{site}"'), ('name = "sensor"', f'name = "{name}"')):
        if template.splitlines().count(line) != 1:
            raise Invalid(f"sensors/edge.toml needs the line {line} once: it becomes each sensor's own")
        template = template.replace(line, own)
    return template


def renew(folder: Path, now: datetime, brokers: Sequence[str] = ()) -> None:
    """Issue the certificates of broker, hubs and listener anew; the broker's may get further names.

    Raises:
        Invalid: not a folder of ours, or damaged.
    """
    authority = _authority(folder, "servers")
    hosts = list(dict.fromkeys([*_hosts(folder), *brokers]))
    _write_pair(folder / "mosquitto", "broker", authority.issue("broker", now, hosts=hosts))
    for client in CLIENTS:
        _write_pair(folder / client, client, authority.issue(client, now))


def revoke(folder: Path, sensor: str, now: datetime) -> None:
    """Shut a sensor out: put its certificate on the broker's list.

    Raises:
        Invalid: there is no such sensor in this folder.
    """
    site, name = place_of(sensor)
    authority = _authority(folder, "sensors")
    authority.revoke(_read(folder / "sensors" / site / name / "sensor.crt"), now)
    for place in ("ca", "mosquitto"):
        _write(folder / place / "sensors.crl", authority.revocations(now))


def _write_all(folder: Path, plan: Plan, now: datetime) -> None:
    layout = plan.layout
    for server in (*SERVERS, "ca", "listener", "sensors"):
        (folder / server).mkdir(exist_ok=True)
    if layout.name != "debian":
        for server in (*SERVERS, "grafana"):
            (folder / "data" / server).mkdir(parents=True)
    (folder / "prometheus" / "rules").mkdir()
    (folder / "ca").chmod(0o700)
    authorities = {name: Authority.founded(f"Earwitness {name}", now) for name in AUTHORITIES}
    for name, authority in authorities.items():
        _write_pair(folder / "ca", name, authority.kept())
        for place in ("ca", "mosquitto"):
            _write(folder / place / f"{name}.crl", authority.revocations(now))
        _write(folder / "mosquitto" / f"{name}.crt", authority.kept().certificate)
    servers = authorities["servers"]
    hosts = list(dict.fromkeys([*plan.brokers, layout.hosts["mosquitto"], "localhost", "127.0.0.1"]))
    _write_pair(folder / "mosquitto", "broker", servers.issue("broker", now, hosts=hosts))
    for client in CLIENTS:
        _write_pair(folder / client, client, servers.issue(client, now))
        _write(folder / client / "servers.crt", servers.kept().certificate)
    passwords = {user: secrets.token_urlsafe(32) for user in ("hub", "operator", "grafana")}
    _write(folder / "redis" / "operator.password", f"{passwords['operator']}\n", secret=True)
    if layout.name == "containers":
        _write(folder / "grafana.password", passwords["grafana"], secret=True)
        _write(folder / "compose.env", _compose_env(folder, layout))
    _write(folder / "hub" / "hub.toml", hub_toml(plan, passwords["hub"]), secret=True)
    _write(folder / "sensors" / "edge.toml", plan.edge_toml)
    for path, template in (
        ("mosquitto/mosquitto.conf", "mosquitto.conf"),
        ("mosquitto/acl", "acl"),
        ("redis/redis.conf", "redis.conf"),
        ("redis/users.acl", "users.acl"),
        ("prometheus/prometheus.yml", "prometheus.yml"),
        ("alertmanager/alertmanager.yml", "alertmanager.yml"),
        ("NEXT.md", "next.md"),
    ):
        server = path.partition("/")[0]
        text = _rendered(template, plan, server, passwords)
        _write(folder / path, text, secret=path.endswith(("acl", "alertmanager.yml")) and server != "mosquitto")


def hub_toml(plan: Plan, password: str) -> str:
    """The hub's settings; they hold the store's password."""
    layout = plan.layout
    files, data = layout.files["hub"], layout.data["hub"]
    alertmanager = {"url": f"http://{layout.address('alertmanager')}"}
    values: dict[str, dict[str, Any]] = {
        "mqtt": {
            "host": layout.hosts["mosquitto"],
            "port": layout.ports["hubs"],
            "tls": True,
            "ca_file": below(files, "servers.crt"),
            "cert_file": below(files, "hub.crt"),
            "key_file": below(layout.secrets["hub"], "hub.key"),
        },
        "redis": {"url": f"redis://hub:{password}@{layout.address('redis')}/0"},
        "archive": {"clips_dir": below(data, "clips")},
        "search": {"snapshot_dir": below(data, "snapshots")},
        "model": {"weights_dir": below(data, "weights")},
        "places": {"timezone": plan.timezone},
        "notify": {
            "page_url": plan.page_url or f"http://127.0.0.1:{layout.ports['web']}",
            "alertmanagers": {"prometheus": alertmanager},
        },
        "web": {"host": layout.bind, "port": layout.ports["web"]},
    }
    return commented(HubSettings, values, IMPORTANT)


def _rendered(template: str, plan: Plan, server: str, passwords: dict[str, str]) -> str:
    layout = plan.layout
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hub.deployment"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not pages
    )
    return environment.get_template(f"{template}.j2").render(
        plan=plan,
        layout=layout,
        files=layout.files.get(server),
        secrets=layout.secrets.get(server),
        data=layout.data.get(server),
        webhook=plan.webhook,
        root=ROOT,
        intakes=ALL_INTAKES,
        told=get_args(ToldKind),
        prefix=HubSettings.model_fields["homeassistant"].default.prefix,
        sensor_folder=SENSOR_FOLDER,
        queue_bytes=_QUEUE_BYTES,
        message_bytes=EVENT_CAP_BYTES + 64 * 1024,
        hub_hash=hashlib.sha256(passwords["hub"].encode()).hexdigest(),
        operator_hash=hashlib.sha256(passwords["operator"].encode()).hexdigest(),
    )


def _compose_env(folder: Path, layout: Layout) -> str:
    """What deploy/compose.yaml asks for; containers run as whoever owns these files, who should not be root."""
    place = folder.with_name(folder.name.removeprefix(".").removesuffix(".partial")).resolve()
    ports = {f"EARWITNESS_PORT_{name.upper()}": number for name, number in layout.ports.items()}
    values = {"EARWITNESS_DIR": place, "EARWITNESS_USER": f"{os.getuid()}:{os.getgid()}", **ports}
    return "".join(f"{name}={value}\n" for name, value in values.items())


def place_of(sensor: str) -> tuple[str, str]:
    """Site and name of a sensor that is written `site/sensor`.

    Raises:
        Invalid: it is not.
    """
    site, slash, name = sensor.strip().partition("/")
    if not slash:
        raise Invalid(f"{sensor!r}: write a sensor as site/sensor")
    SensorTopic(site, name, "state")
    return site, name


def _authority(folder: Path, name: str) -> Authority:
    own = folder / "ca"
    return Authority.read(own / f"{name}.crt", own / f"{name}.key", own / f"{name}.crl")


def _hosts(folder: Path) -> list[str]:
    """For whom the broker's certificate is now."""
    certificate = x509.load_pem_x509_certificate(_read(folder / "mosquitto" / "broker.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def _write_pair(folder: Path, name: str, issued: Issued) -> None:
    _write(folder / f"{name}.key", issued.key, secret=True)
    _write(folder / f"{name}.crt", issued.certificate)


def _write(path: Path, content: str | bytes, *, secret: bool = False) -> None:
    """Write a file whole or not at all; a secret one is never readable by others, not for a moment."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from error
