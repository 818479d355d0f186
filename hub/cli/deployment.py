"""`earwitness-hub init`: a deployment's certificates and configurations, and what may change in them later."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import JsonOption, reported
from hub.deployment import bundle as deployment
from hub.deployment.certificate_authority import host_of
from hub.deployment.layout import PORTS, LayoutName, layout_of, ports_of
from hub.deployment.sensors import SENSOR_FOLDER, add_sensors, place_of
from hub.deployment.sensors import revoke as revoke_sensor
from shared.command_line import to_json
from shared.errors import Invalid, Unavailable
from shared.text_files import read_text

FolderArgument = Annotated[Path, typer.Argument(help="the deployment's folder: a new one, or one that init wrote")]
BrokerOption = Annotated[
    list[str] | None,
    typer.Option(
        help="how sensors reach the broker: a name or address; may be repeated; with --renew, a further one"
    ),
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
RenewOption = Annotated[
    bool,
    typer.Option(
        "--renew", help="new certificates: of the sensors that are named, else of broker, hubs and listener"
    ),
]
RevokeOption = Annotated[list[str] | None, typer.Option(help="shut a sensor out, as site/sensor; may be repeated")]
_FOUNDING = ("layout", "port", "page_url", "timezone", "webhook")
"""Options that only a new folder takes."""


@reported
def init(
    context: typer.Context,
    folder: FolderArgument,
    broker: BrokerOption = None,
    sensor: SensorOption = None,
    sensors: SensorsOption = None,
    layout: LayoutOption = "here",
    port: PortOption = None,
    page_url: Annotated[str | None, typer.Option(help="the hub's pages as people reach them")] = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of quiet hours and texts")] = "UTC",
    webhook: Annotated[str | None, typer.Option(help="where Alertmanager tells people, for a start")] = None,
    renew: RenewOption = False,
    revoke: RevokeOption = None,
    json_: JsonOption = False,
) -> None:
    """Write a deployment's certificates and configurations; later, add or shut out sensors, or renew certificates.

    Nothing that is there is overwritten, but certificates by --renew and lists of revoked ones by --revoke.

    Example: earwitness-hub init ./noise --broker broker.example --sensor harbour/street-1 --sensor harbour/street-2
    """
    folder, now = folder.absolute(), datetime.now(UTC)
    if broker and renew and (sensor or sensors):
        raise Invalid("--broker is for the broker's certificate, --sensor with --renew for a sensor's: one at a time")
    wanted = [*(sensor or []), *_listed(sensors)]
    _verify(wanted, broker or [])
    done: list[str] = []
    if broker and not renew:
        plan = deployment.Plan(
            layout=layout_of(layout, folder, ports_of(port or [])),
            brokers=broker,
            page_url=page_url,
            timezone=timezone,
            webhook=webhook,
            edge_toml=_edge_toml(broker[0], ports_of(port or [])["sensors"]),
        )
        deployment.found(folder, plan, now)
        done.append(f"{folder}: all is written; {folder / 'NEXT.md'} says what to do next")
    else:
        _expect(folder, context)
    for one in revoke or []:
        revoke_sensor(folder, one, now)
        done.append(f"{one} is shut out once the broker has {folder / 'mosquitto' / 'sensors.crl'}, and is restarted")
    if wanted:
        written = add_sensors(folder, wanted, now, renew=renew)
        done += [f"{path}: copy it onto the sensor, to {SENSOR_FOLDER}" for path in written]
        if left := len(set(wanted)) - len(written):
            done.append(f"{left} there already, and left as they are; new certificates: --renew")
    elif renew:
        deployment.renew(folder, now, broker or [])
        done.append("new certificates of broker, hub and listener: copy them as the first time, and restart these")
    if not done:
        raise Invalid(f"{folder} is there already; say what to add or change: --sensor, --sensors, --renew, --revoke")
    if json_:
        typer.echo(to_json({"folder": str(folder), "sensors": wanted, "revoked": revoke or [], "done": done}))
    else:
        for line in done:
            typer.echo(line)


def _verify(sensors: Sequence[str], brokers: Sequence[str]) -> None:
    """Refuse names that cannot be used, before anything is written."""
    for sensor in sensors:
        place_of(sensor)
    for broker in brokers:
        host_of(broker)


def _expect(folder: Path, context: typer.Context) -> None:
    """Refuse a folder that is no deployment yet, and options that would change nothing in one that is."""
    if not (folder / "ca").is_dir():
        raise Invalid(f"{folder} is no deployment yet: say how sensors will reach the broker, --broker NAME")
    sources = {name: context.get_parameter_source(name) for name in _FOUNDING}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise Invalid(f"{flags}: for a new folder only; edit the configurations in {folder} and copy them again")


def _listed(path: Path | None) -> Sequence[str]:
    """Sensors from a file."""
    if path is None:
        return []
    try:
        lines = read_text(path).splitlines()
    except Unavailable as error:
        raise Invalid(str(error)) from error
    named = [line.partition("#")[0].strip() for line in lines]
    return [line for line in named if line]


def _edge_toml(broker: str, port: int) -> str:
    """What sensors' settings are made from, as `earwitness-edge config` words it; the two programs share no code."""
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
    command = [sys.executable, "-m", "edge", "config", *flags]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=own)  # noqa: S603 - ours
    if ran.returncode != 0:
        raise Invalid(f"sensors' settings: {ran.stderr.strip()}")
    return ran.stdout
