"""A deployment as `earwitness-hub deployment create` writes it, and its broker and store."""

from pathlib import Path

from typer.testing import CliRunner

from hub.cli import app
from hub.deployment.layout import PORTS
from shared.settings import MqttSettings
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import Server, accepts

SENSORS = ("harbour/street-1", "harbour/street-2")


def command_of(folder: str, *options: str) -> list[str]:
    """The command of `deployment` that these options are of, and its arguments."""
    if "--revoke" in options:
        return ["revoke", folder, *[one for one in options if one != "--revoke"]]
    if "--renew" in options:
        return ["renew", folder, *[one for one in options if one != "--renew"]]
    if "--broker" in options:
        return ["create", folder, *options]
    return ["add-sensor", folder, *[one for one in options if one != "--sensor"]]


def init(*arguments: str) -> tuple[int, str]:
    """Run `earwitness-hub deployment create`; its exit code and what it printed."""
    ran = CliRunner().invoke(app, ["deployment", *command_of(*arguments)])
    return ran.exit_code, ran.output


class CreatedDeployment:
    """A folder that `init` wrote, for this machine, on free ports.

    Args:
        folder: a new one.
        more: further arguments of `init`.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        chosen = [part for name, port in self.ports.items() for part in ("--port", f"{name}={port}")]
        sensors = [part for sensor in SENSORS for part in ("--sensor", sensor)]
        code, printed = init(str(folder), "--broker", "localhost", *chosen, *sensors, *more)
        assert code == 0, printed

    @property
    def hub_toml(self) -> Path:
        return self.folder / "hub" / "hub.toml"

    def sensor(self, place: str, **other: object) -> MqttSettings:
        """How a sensor reaches the broker, were its folder where it belongs."""
        own = self.folder / "sensors" / place
        return self._client(own, "sensor", self.ports["sensors"], other)

    def client(self, name: str, **other: object) -> MqttSettings:
        """How `hub` or `listener` reach the broker."""
        return self._client(self.folder / name, name, self.ports["hubs"], other)

    def _client(self, folder: Path, name: str, port: int, other: dict[str, object]) -> MqttSettings:
        values: dict[str, object] = {
            "host": "localhost",
            "port": port,
            "tls": True,
            "ca_file": folder / "servers.crt",
            "cert_file": folder / f"{name}.crt",
            "key_file": folder / f"{name}.key",
            "max_reconnect_delay_s": 0.2,
        }
        return MqttSettings.model_validate(values | other)


class DeploymentBroker(Server):
    """Mosquitto with the generated configuration."""

    def __init__(self, folder: Path, founded: CreatedDeployment) -> None:
        super().__init__(folder)
        self.executable = program("mosquitto")
        self.founded = founded

    def command(self) -> list[str]:
        return [self.executable, "-c", str(self.founded.folder / "mosquitto" / "mosquitto.conf")]

    def ready(self) -> bool:
        return all(accepts(self.founded.ports[name]) for name in ("sensors", "hubs"))


class FoundedStore(Server):
    """Redis with the generated configuration."""

    def __init__(self, folder: Path, founded: CreatedDeployment) -> None:
        super().__init__(folder)
        self.executable = program("redis-server")
        self.founded = founded

    def command(self) -> list[str]:
        return [self.executable, str(self.founded.folder / "redis" / "redis.conf")]

    def ready(self) -> bool:
        return accepts(self.founded.ports["redis"])
