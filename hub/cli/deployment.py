"""`earwitness-hub deployment`: a deployment's certificates and configurations, and what may change in them later."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import JsonOption, handles_errors
from hub.deployment import bundle as deployment
from hub.deployment.certificate_authority import validate_host
from hub.deployment.layout import PORTS, LayoutName, layout_of, ports_of
from hub.deployment.sensors import SENSOR_FOLDER, add_sensors, parse_sensor
from hub.deployment.sensors import revoke as revoke_sensor
from shared.command_line import to_json
from shared.errors import InvalidError, UnavailableError
from shared.text_files import read_text

app = typer.Typer(no_args_is_help=True, help="Certificates and configurations of a deployment.")

FolderArgument = Annotated[Path, typer.Argument(help="the deployment's folder")]
BrokerOption = Annotated[
    list[str] | None,
    typer.Option(help="how sensors reach the broker: a name or address; may be repeated"),
]
SensorOption = Annotated[list[str] | None, typer.Option(help="add a sensor, as site/sensor; may be repeated")]
SensorsOption = Annotated[
    Path | None, typer.Option(help="add many sensors: a file with one site/sensor per line, # begins a comment")
]
LayoutOption = Annotated[
    LayoutName, typer.Option(help="where servers run: from this folder, as Debian's packages, or in containers")
]
PortOption = Annotated[
    list[str] | None, typer.Option(help=f"another port, as NAME=NUMBER; names: {', '.join(PORTS)}; may be repeated")
]


@app.command()
@handles_errors
def create(
    folder: FolderArgument,
    broker: Annotated[
        list[str],
        typer.Option(help="how sensors reach the broker: a name or address; may be repeated", show_default=False),
    ],
    sensor: SensorOption = None,
    sensors: SensorsOption = None,
    layout: LayoutOption = "here",
    port: PortOption = None,
    public_url: Annotated[str | None, typer.Option(help="the hub's pages as people reach them")] = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of quiet hours and texts")] = "UTC",
    webhook: Annotated[str | None, typer.Option(help="where Alertmanager tells people, for a start")] = None,
    json_: JsonOption = False,
) -> None:
    """Write a deployment's certificates and configurations into a new folder.

    Example: earwitness-hub deployment create ./noise --broker broker.example --sensor harbour/street-1
    """
    chosen = _Founding(layout, port or [], public_url, timezone, webhook)
    _change(folder, broker=broker, sensor=sensor, sensors=sensors, founding=chosen, json_=json_)


@app.command()
@handles_errors
def add_sensor(
    folder: FolderArgument,
    sensor: Annotated[list[str] | None, typer.Argument(help="site/sensor, one or several")] = None,
    sensors: SensorsOption = None,
    json_: JsonOption = False,
) -> None:
    """Add sensors: certificates and settings for each. Sensors that are there already are left as they are.

    Example: earwitness-hub deployment add-sensor ./noise harbour/street-1
    """
    _change(folder, sensor=sensor, sensors=sensors, json_=json_)


@app.command()
@handles_errors
def renew(
    folder: FolderArgument,
    sensor: Annotated[list[str] | None, typer.Option(help="a sensor, as site/sensor; may be repeated")] = None,
    sensors: SensorsOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Make new certificates: of the sensors that are named, else of broker, hubs and listener.

    Example: earwitness-hub deployment renew ./noise --sensor harbour/street-1
    """
    _change(folder, broker=broker, sensor=sensor, sensors=sensors, renew=True, json_=json_)


@app.command()
@handles_errors
def revoke(
    folder: FolderArgument,
    sensor: Annotated[list[str], typer.Argument(help="site/sensor, one or several")],
    json_: JsonOption = False,
) -> None:
    """Shut sensors out, by every certificate that they ever had.

    Example: earwitness-hub deployment revoke ./noise harbour/street-1
    """
    _change(folder, revoke=sensor, json_=json_)


@dataclass(frozen=True, slots=True)
class _Founding:
    """What only a new deployment takes."""

    layout: LayoutName
    port: list[str]
    public_url: str | None
    timezone: str
    webhook: str | None


def _change(
    folder: Path,
    *,
    broker: list[str] | None = None,
    sensor: list[str] | None = None,
    sensors: Path | None = None,
    founding: _Founding | None = None,
    renew: bool = False,
    revoke: list[str] | None = None,
    json_: bool,
) -> None:
    folder, now = folder.absolute(), datetime.now(UTC)
    if broker and renew and (sensor or sensors):
        raise InvalidError("--broker is for the broker's certificate, --sensor for a sensor's: one at a time")
    wanted = [*(sensor or []), *_listed(sensors)]
    _verify(wanted, broker or [])
    done: list[str] = []
    if broker and founding is not None:
        plan = deployment.DeploymentSpec(
            layout=layout_of(founding.layout, folder, ports_of(founding.port)),
            brokers=broker,
            public_url=founding.public_url,
            timezone=founding.timezone,
            webhook=founding.webhook,
            edge_toml=_edge_toml(broker[0], ports_of(founding.port)["sensors"]),
        )
        deployment.create_deployment(folder, plan, now)
        done.append(f"{folder}: all is written; {folder / 'NEXT.md'} says what to do next")
    else:
        _expect(folder)
    for one in revoke or []:
        revoke_sensor(folder, one, now)
        done.append(f"{one} is shut out once the broker has {folder / 'mosquitto' / 'sensors.crl'}, and is restarted")
    if wanted:
        written = add_sensors(folder, wanted, now, renew=renew)
        done += [f"{path}: copy it onto the sensor, to {SENSOR_FOLDER}" for path in written]
        if left := len(set(wanted)) - len(written):
            done.append(f"{left} there already, and left as they are; new certificates: deployment renew")
    elif renew:
        deployment.renew(folder, now, broker or [])
        done.append("new certificates of broker, hub and listener: copy them as the first time, and restart these")
    if not done:
        raise InvalidError(f"{folder}: say which sensors to add")
    if json_:
        typer.echo(to_json({"folder": str(folder), "sensors": wanted, "revoked": revoke or [], "done": done}))
    else:
        for line in done:
            typer.echo(line)


def _verify(sensors: Sequence[str], brokers: Sequence[str]) -> None:
    """Refuse names that cannot be used, before anything is written."""
    for sensor in sensors:
        parse_sensor(sensor)
    for broker in brokers:
        validate_host(broker)


def _expect(folder: Path) -> None:
    """Refuse a folder that is no deployment yet."""
    if not (folder / "ca").is_dir():
        raise InvalidError(
            f"{folder} is no deployment yet: say how sensors will reach the broker, `deployment create"
            f" {folder} --broker NAME`"
        )


def _listed(path: Path | None) -> Sequence[str]:
    """Sensors from a file."""
    if path is None:
        return []
    try:
        lines = read_text(path).splitlines()
    except UnavailableError as error:
        raise InvalidError(str(error)) from error
    named = [line.partition("#")[0].strip() for line in lines]
    return [line for line in named if line]


def _edge_toml(broker: str, port: int) -> str:
    """Make sensors' settings with `earwitness-edge config show`; the two programs share no code."""
    values = {
        "sensor.site": "site",
        "sensor.name": "sensor",
        "mqtt.host": broker,
        "mqtt.port": port,
        "mqtt.tls": "true",
        "mqtt.ca_file": f"{SENSOR_FOLDER}/servers.crt",
        "mqtt.cert_file": f"{SENSOR_FOLDER}/sensor.crt",
        "mqtt.key_file": f"{SENSOR_FOLDER}/sensor.key",
        "source.kind": "microphone",
        "spool.path": "/var/lib/earwitness-edge/spool.db",
    }
    flags = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    own = {name: value for name, value in os.environ.items() if not name.startswith("EARWITNESS_EDGE_")}
    command = [sys.executable, "-m", "edge", "config", "show", *flags]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=own)  # noqa: S603 - ours
    if ran.returncode != 0:
        raise InvalidError(f"sensors' settings: {ran.stderr.strip()}")
    return ran.stdout
