"""The folder that `earwitness-hub deployment create` writes, and what may change in it later.

    ca/            both authorities with their keys: keep it away from every server; issued/ has every sensor's
                   certificates, so that those before a renewal can be revoked, too
    mosquitto/ redis/ hub/ prometheus/ alertmanager/     each server's configuration, keys and passwords, no other's
    redis.operator.password                              for whoever looks after the store
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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

import jinja2
from cryptography import x509

from hub.deployment.atomic_files import authority_of, read, write, write_pair
from hub.deployment.certificate_authority import CLIENT_DAYS, SERVER_DAYS, Authority
from hub.deployment.layout import SERVERS, Layout, posix_path
from hub.deployment.sensors import SENSOR_FOLDER
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.messages import EVENT_CAP_BYTES
from shared.mqtt.topics import ALL_INTAKES, ROOT, SensorStateKind
from shared.settings_file import render_settings_file

AUTHORITIES: Final = ("servers", "sensors")
CLIENTS: Final = ("hub", "listener")
IMPORTANT: Final[dict[str, tuple[str, ...]]] = {
    "hub": ("name",),
    "mqtt": ("keepalive_s", "session_expiry_s"),
    "redis": ("timeout_s",),
    "store": ("retention_days", "audio_dir", "max_dead_letters", "max_dead_letter_bytes"),
    "features": ("vggish_weights_dir", "space"),
    "ingest": ("consumer_group", "max_in_flight"),
    "search": ("backend", "snapshot_dir"),
    "alerts": ("max_false_alerts_per_day", "default_threshold", "min_above_ambient_db"),
    "sites": ("timezone", "sensor_positions"),
    "web": ("public_url", "host", "port"),
    "log": ("level", "format"),
}
"""What an operator is most likely to change, and is therefore shown although it is not set."""
_QUEUE_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """What a new deployment is like.

    Attributes:
        layout: where everything will be.
        brokers: names and addresses under which sensors reach the broker, the one they will use first.
        public_url: the hub's pages as people reach them, if not as the hub sees itself.
        timezone: IANA name.
        webhook: where Alertmanager tells people, or None.
        edge_toml: what every sensor's settings are made from.
    """

    layout: Layout
    brokers: Sequence[str]
    public_url: str | None
    timezone: str
    webhook: str | None
    edge_toml: str


def create_deployment(folder: Path, plan: DeploymentSpec, now: datetime) -> None:
    """Write a new deployment.

    Raises:
        Invalid: the folder is there already, or cannot be written or named, or a name that cannot be used; or its
            owner would be root, and containers run as its owner.
    """
    if any(letter.isspace() for letter in str(folder)):
        raise InvalidError(
            f"{str(folder)!r} has white space, which the servers' configurations cannot name: choose another"
        )
    if folder.exists():
        raise InvalidError(
            f"{folder} is there already; nothing was written: `deployment renew --broker NAME` adds a name"
        )
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_all(partial, plan, now)
        partial.rename(folder)
    except OSError as error:
        raise InvalidError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def renew(folder: Path, now: datetime, brokers: Sequence[str] = ()) -> None:
    """Issue the certificates of broker, hubs and listener anew; the broker's may get further names.

    Raises:
        Invalid: not a folder of ours, or damaged.
    """
    authority = authority_of(folder, "servers")
    hosts = list(dict.fromkeys([*_hosts(folder), *brokers]))
    write_pair(folder / "mosquitto", "broker", authority.issue("broker", now, hosts=hosts))
    for client in CLIENTS:
        write_pair(folder / client, client, authority.issue(client, now))


def _write_all(folder: Path, plan: DeploymentSpec, now: datetime) -> None:
    layout = plan.layout
    for server in (*SERVERS, "ca", "listener", "sensors"):
        (folder / server).mkdir(exist_ok=True)
    if layout.name != "debian":
        for server in (*SERVERS, "grafana"):
            (folder / "data" / server).mkdir(parents=True)
    (folder / "prometheus" / "rules").mkdir()
    (folder / "ca").chmod(0o700)
    authorities = {name: Authority.create(f"Earwitness {name}", now) for name in AUTHORITIES}
    for name, authority in authorities.items():
        write_pair(folder / "ca", name, authority.certificate_pair())
        for place in ("ca", "mosquitto"):
            write(folder / place / f"{name}.crl", authority.revocations(now))
        write(folder / "mosquitto" / f"{name}.crt", authority.certificate_pair().certificate)
    servers = authorities["servers"]
    hosts = list(dict.fromkeys([*plan.brokers, layout.hosts["mosquitto"], "localhost", "127.0.0.1"]))
    write_pair(folder / "mosquitto", "broker", servers.issue("broker", now, hosts=hosts))
    for client in CLIENTS:
        write_pair(folder / client, client, servers.issue(client, now))
        write(folder / client / "servers.crt", servers.certificate_pair().certificate)
    passwords = {user: secrets.token_urlsafe(32) for user in ("hub", "operator", "grafana")}
    write(folder / "redis.operator.password", f"{passwords['operator']}\n", secret=True)
    if layout.name == "containers":
        write(folder / "grafana.password", passwords["grafana"], secret=True)
        write(folder / "compose.env", _compose_env(folder, layout))
    write(folder / "hub" / "hub.toml", hub_toml(plan, passwords["hub"]), secret=True)
    write(folder / "sensors" / "edge.toml", plan.edge_toml)
    debian = (
        ("prometheus/prometheus.default", "prometheus.default"),
        ("alertmanager/prometheus-alertmanager.default", "prometheus-alertmanager.default"),
    )
    for path, template in (
        *(debian if layout.name == "debian" else ()),
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
        write(folder / path, text, secret=path.endswith(("acl", "alertmanager.yml")) and server != "mosquitto")


def hub_toml(plan: DeploymentSpec, password: str) -> str:
    """The hub's settings; they hold the store's password."""
    layout = plan.layout
    files, data = layout.files["hub"], layout.data["hub"]
    alertmanager = {"url": f"http://{layout.address('alertmanager')}"}
    values: dict[str, dict[str, Any]] = {
        "mqtt": {
            "host": layout.hosts["mosquitto"],
            "port": layout.ports["hubs"],
            "tls": True,
            "ca_file": posix_path(files, "servers.crt"),
            "cert_file": posix_path(files, "hub.crt"),
            "key_file": posix_path(layout.secrets["hub"], "hub.key"),
        },
        "redis": {"url": f"redis://hub:{password}@{layout.address('redis')}/0"},
        "store": {"audio_dir": posix_path(data, "clips")},
        "search": {"snapshot_dir": posix_path(data, "snapshots")},
        "features": {"vggish_weights_dir": posix_path(data, "weights")},
        "sites": {"timezone": plan.timezone},
        "notify": {"alertmanagers": {"prometheus": alertmanager}},
        "web": {
            "public_url": plan.public_url or f"http://127.0.0.1:{layout.ports['web']}",
            "host": layout.bind,
            "port": layout.ports["web"],
        },
    }
    return render_settings_file(HubSettings, values, IMPORTANT)


def _rendered(template: str, plan: DeploymentSpec, server: str, passwords: dict[str, str]) -> str:
    layout = plan.layout
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hub.deployment"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not pages
    )
    return environment.get_template(f"{template}.j2").render(
        layout=layout,
        files=layout.files.get(server),
        secrets=layout.secrets.get(server),
        data=layout.data.get(server),
        webhook=plan.webhook,
        root=ROOT,
        intakes=ALL_INTAKES,
        told=get_args(SensorStateKind),
        prefix=HubSettings.model_fields["homeassistant"].default.prefix,
        sensor_folder=SENSOR_FOLDER,
        server_days=SERVER_DAYS,
        client_days=CLIENT_DAYS,
        queue_bytes=_QUEUE_BYTES,
        message_bytes=EVENT_CAP_BYTES + 64 * 1024,
        hub_hash=hashlib.sha256(passwords["hub"].encode()).hexdigest(),
        operator_hash=hashlib.sha256(passwords["operator"].encode()).hexdigest(),
    )


def _compose_env(folder: Path, layout: Layout) -> str:
    """What deploy/compose.yaml asks for; containers run as whoever owns these files.

    Raises:
        Invalid: that is root, as whom Mosquitto would look for another user, and end.
    """
    if os.getuid() == 0:
        raise InvalidError(
            "containers would run as root, who would own the folder: have an ordinary user run init, as in"
            " `sudo --user USER earwitness-hub deployment create ...`; nothing was written"
        )
    place = folder.with_name(folder.name.removeprefix(".").removesuffix(".partial")).resolve()
    ports = {f"EARWITNESS_PORT_{name.upper()}": number for name, number in layout.ports.items()}
    values = {
        "COMPOSE_PROJECT_NAME": "earwitness",
        "EARWITNESS_DIR": place,
        "EARWITNESS_USER": f"{os.getuid()}:{os.getgid()}",
        **ports,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _hosts(folder: Path) -> list[str]:
    """For whom the broker's certificate is now."""
    certificate = x509.load_pem_x509_certificate(read(folder / "mosquitto" / "broker.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]
