"""The folder that `earwitness-hub deployment create` writes, and its later changes.

    ca/            both authorities with their keys: keep it away from every server; issued/ has every sensor's
                   certificates, so that those before a renewal can be revoked, too
    mosquitto/ redis/ hub/ prometheus/ alertmanager/     configuration, keys and passwords of each server
    redis.operator.password                              password of the operator of Redis
    admin.password               password of the page's first user, `admin`, in containers; prometheus/hub.token
    listener/      a certificate for clients that subscribe to alerts on MQTT
    sensors/       edge.toml, the template of every sensor's settings, and a folder per sensor to copy onto it
    data/          data of the servers, in layouts without system folders
    NEXT.md        the next steps

`create` writes a temporary folder and renames it at the end, so that a failure leaves nothing behind. Files with keys
or passwords are readable by their owner only.
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

from hub.deployment.access import USERS_FILE, write_access
from hub.deployment.atomic_files import authority_of, read, write, write_pair
from hub.deployment.certificate_authority import CLIENT_DAYS, SERVER_DAYS, Authority
from hub.deployment.layout import SERVERS, Layout, posix_path
from hub.deployment.sensors import SENSOR_FOLDER
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.messages.event import EVENT_CAP_BYTES
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
    "evidence": ("signing_key",),
    "web": ("public_url", "host", "port", "users_file"),
    "log": ("level", "format"),
}
"""Settings that operators change most often, which hub.toml shows although they are not set."""
_QUEUE_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """Options of a new deployment.

    Attributes:
        layout: paths and addresses.
        brokers: names and addresses of the broker for sensors; the first one is used in their settings.
        public_url: URL of the hub's pages for browsers, if not the local one.
        timezone: IANA name.
        webhook: URL of an Alertmanager receiver, or None.
        edge_toml: template of every sensor's settings.
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
        InvalidError: the folder exists, has white space in its name or cannot be written; a name cannot be used; or
            root would own the folder of a container layout, whose containers run as its owner.
    """
    if any(letter.isspace() for letter in str(folder)):
        raise InvalidError(
            f"{str(folder)!r} has white space, which the servers' configurations do not allow: choose another folder"
        )
    if folder.exists():
        raise InvalidError(
            f"{folder} exists already; nothing was written. `deployment renew --broker NAME` adds a name"
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
    """Issue new certificates for broker, hubs and listener; add `brokers` to the names of the broker's.

    Raises:
        InvalidError: the folder is not a deployment, or is damaged.
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
        write_access(folder, now)
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
    """Return the hub's settings file, which holds the password of Redis."""
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
        "evidence": {"signing_key": posix_path(data, "evidence.key")},
        "notify": {"alertmanagers": {"prometheus": alertmanager}},
        "web": {
            "public_url": plan.public_url or f"http://127.0.0.1:{layout.ports['web']}",
            "host": layout.bind,
            "port": layout.ports["web"],
            **({"users_file": posix_path(files, USERS_FILE)} if layout.name == "containers" else {}),
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
        state_kinds=get_args(SensorStateKind),
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
    """Return the variables of deploy/compose.yaml; containers run as the owner of these files.

    Raises:
        InvalidError: the owner is root; Mosquitto, started as root, would look for another user and end.
    """
    if os.getuid() == 0:
        raise InvalidError(
            "containers would run as root, the owner of the folder; nothing was written. Run the command as another"
            " user, such as `sudo --user USER earwitness-hub deployment create ...`"
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
    """Return the names and addresses in the broker's certificate."""
    certificate = x509.load_pem_x509_certificate(read(folder / "mosquitto" / "broker.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]
