"""`earwitness-hub deployment`: create the certificates and configurations of a deployment, and change them later."""

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
    LayoutName, typer.Option(help="how the servers run: from this folder, as Debian packages, or in containers")
]
PortOption = Annotated[
    list[str] | None, typer.Option(help=f"change a port, as NAME=NUMBER; names: {', '.join(PORTS)}; may be repeated")
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
    public_url: Annotated[str | None, typer.Option(help="URL of the hub's pages for browsers")] = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of quiet hours and texts")] = "UTC",
    webhook: Annotated[str | None, typer.Option(help="URL of the first Alertmanager receiver")] = None,
    json_: JsonOption = False,
) -> None:
    """Write the certificates and configurations of a deployment into a new folder.

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
    """Add sensors: write certificates and settings for each. Existing sensors stay unchanged.

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
    """Make new certificates for the given sensors, or for broker, hubs and listener if no sensor is given.

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
    """Revoke every certificate that these sensors ever had, so that the broker rejects them.

    Example: earwitness-hub deployment revoke ./noise harbour/street-1
    """
    _change(folder, revoke=sensor, json_=json_)


@dataclass(frozen=True, slots=True)
class _Founding:
    """Options of a new deployment only."""

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
        raise InvalidError("--broker renews the broker's certificate, --sensor a sensor's: give one of them")
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
        done.append(f"created {folder}; {folder / 'NEXT.md'} lists the next steps")
    else:
        _expect(folder)
    for name in revoke or []:
        revoke_sensor(folder, name, now)
        crl = folder / "mosquitto" / "sensors.crl"
        done.append(f"{name} is revoked: copy {crl} to the broker and restart the broker")
    if wanted:
        written = add_sensors(folder, wanted, now, renew=renew)
        done += [f"{path}: copy it to {SENSOR_FOLDER} on the sensor" for path in written]
        if left := len(set(wanted)) - len(written):
            done.append(f"{left} sensors existed and stay unchanged; `deployment renew` makes new certificates")
    elif renew:
        deployment.renew(folder, now, broker or [])
        done.append(
            "renewed the certificates of broker, hub and listener: copy them again and restart these programs"
        )
    if not done:
        raise InvalidError(f"{folder}: give the sensors to add, as site/sensor or with --sensors FILE")
    if json_:
        typer.echo(to_json({"folder": str(folder), "sensors": wanted, "revoked": revoke or [], "done": done}))
    else:
        for line in done:
            typer.echo(line)


def _verify(sensors: Sequence[str], brokers: Sequence[str]) -> None:
    """Reject invalid names before any file is written."""
    for sensor in sensors:
        parse_sensor(sensor)
    for broker in brokers:
        validate_host(broker)


def _expect(folder: Path) -> None:
    """Reject a folder that is not a deployment."""
    if not (folder / "ca").is_dir():
        raise InvalidError(
            f"{folder} is not a deployment: create one with `earwitness-hub deployment create {folder}"
            " --broker NAME`, where NAME is how sensors reach the broker"
        )


def _listed(path: Path | None) -> Sequence[str]:
    """Return the sensors that a file lists."""
    if path is None:
        return []
    try:
        lines = read_text(path).splitlines()
    except UnavailableError as error:
        raise InvalidError(str(error)) from error
    named = [line.partition("#")[0].strip() for line in lines]
    return [line for line in named if line]


def _edge_toml(broker: str, port: int) -> str:
    """Make the sensors' settings with `earwitness-edge config show`; the two programs share no code."""
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
        "commands.enabled": "true",
        "spool.path": "/var/lib/earwitness-edge/spool.db",
    }
    flags = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("EARWITNESS_EDGE_")}
    command = [sys.executable, "-m", "edge", "config", "show", *flags]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=env)  # noqa: S603 - ours
    if ran.returncode != 0:
        raise InvalidError(f"sensors' settings: {ran.stderr.strip()}")
    return ran.stdout
