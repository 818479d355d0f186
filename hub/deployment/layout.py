"""Layouts: paths and addresses of a deployment's servers, in one folder, on Debian, or in containers.

`deployment create` writes one folder per server. A layout holds the paths and names as the servers will see them, so
that the files need no editing after they were copied or mounted.
"""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from shared.errors import InvalidError

LayoutName = Literal["here", "debian", "containers"]
SERVERS: Final = ("mosquitto", "redis", "hub", "prometheus", "alertmanager")
PORTS: Final[Mapping[str, int]] = {
    "sensors": 8883,
    "hubs": 8884,
    "redis": 6379,
    "web": 8080,
    "prometheus": 9090,
    "alertmanager": 9093,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths, names and ports as the servers see them.

    Attributes:
        name: name of the layout.
        files: folder of each server's configuration, where another file or `NEXT.md` names it.
        secrets: folder of each server's keys and passwords, likewise.
        data: folder that each server writes to, likewise.
        hosts: name or address of each server for the others.
        bind: address of all listeners except the one for sensors.
        user: user of the broker after it has started as root.
        ports: ports of the broker for sensors and for hubs, and of the other servers.
    """

    name: LayoutName
    files: Mapping[str, str]
    secrets: Mapping[str, str]
    data: Mapping[str, str]
    hosts: Mapping[str, str]
    bind: str
    user: str
    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))

    def address(self, server: str, port: str | None = None) -> str:
        """Return `host:port` of a server; `port` names its port if the name differs from `server`."""
        return f"{self.hosts[server]}:{self.ports[port or server]}"


def ports_of(given: list[str]) -> dict[str, int]:
    """Return the ports, with changes given as `name=number`.

    Raises:
        InvalidError: an unknown name, or not a port number.
    """
    ports = dict(PORTS)
    for one in given:
        name, _, number = one.partition("=")
        if name not in ports or not number.isdecimal() or not 0 < int(number) < 65_536:
            raise InvalidError(f"--port {one!r}: write NAME=NUMBER; names: {', '.join(ports)}")
        ports[name] = int(number)
    return ports


def layout_of(name: LayoutName, folder: Path, ports: Mapping[str, int]) -> Layout:
    """Return a layout by its name.

    Args:
        name: `here`, `debian` or `containers`.
        folder: folder of the deployment; only `here` runs from it.
        ports: ports of all servers.
    """
    if name == "here":
        files = {server: str(folder / server) for server in SERVERS}
        data = {server: str(folder / "data" / server) for server in SERVERS}
        return Layout(name, files, files, data, _everywhere("127.0.0.1"), "127.0.0.1", getpass.getuser(), ports)
    if name == "debian":
        files = {
            "mosquitto": "/etc/mosquitto",
            "redis": "/etc/redis",
            "hub": "/etc/earwitness",
        }
        data = {
            "mosquitto": "/var/lib/mosquitto",
            "redis": "/var/lib/redis",
            "hub": "/var/lib/earwitness-hub",
        }
        return Layout(name, files, files, data, _everywhere("127.0.0.1"), "127.0.0.1", "mosquitto", ports)
    files = {"mosquitto": "/mosquitto/config", "hub": "/etc/earwitness"}
    secrets = {"mosquitto": files["mosquitto"], "redis": "/run/secrets", "hub": "/run/secrets"}
    data = {"mosquitto": "/mosquitto/data", "redis": "/data", "hub": "/var/lib/earwitness-hub"}
    hosts = {server: server for server in SERVERS}
    return Layout(name, files, secrets, data, hosts, "0.0.0.0", "mosquitto", ports)  # noqa: S104 - inside containers


def _everywhere(host: str) -> dict[str, str]:
    return dict.fromkeys(SERVERS, host)


def posix_path(folder: str, *parts: str) -> str:
    """Return a path as a server sees it, always with slashes."""
    return str(PurePosixPath(folder, *parts))
