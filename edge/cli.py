"""Define the command `earwitness-edge`. Only this module builds settings, sets up logging and handles signals."""

import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console

from edge.agent import Agent
from edge.commands.remote_settings import RemoteSettings
from edge.diagnostics import run_checks
from edge.settings import EdgeSettings
from shared.backbones import resolve_manifest
from shared.command_line import prepare, to_json
from shared.errors import EarwitnessError, InvalidError
from shared.events import CLIP_S
from shared.feature_space import EARWITNESS_SMALL
from shared.logging import configure_logging
from shared.settings import load_settings, unknown_env_vars
from shared.settings_file import render_settings_file

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Record audio, measure sound levels, and publish events to the hub. The agent keeps events on disk until the"
    " broker acknowledges them.",
)
configuration = typer.Typer(no_args_is_help=True, help="Settings files.", rich_markup_mode="rich")
app.add_typer(configuration, name="config")

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with one table per group.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="GROUP.FIELD=VALUE",
        help="Override one setting; may be repeated.",
    ),
]
IMPORTANT: Final = {
    "sensor": ("site", "name"),
    "mqtt": ("host", "port"),
    "source": ("kind", "device", "rate_hz"),
    "features": ("space",),
    "levels": ("full_scale_db_spl",),
    "spool": ("path", "max_bytes"),
    "log": ("level", "format"),
}
"""Settings that `config show` prints as comments when they are not set."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@app.command()
def run(
    config: Config = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    drain_s: Annotated[
        float, typer.Option("--drain-s", min=0.0, help="On a stop, wait this long for the spool to empty.")
    ] = 10.0,
) -> None:
    """Run the sensor until its source ends or it is stopped (Ctrl-C, SIGTERM).

    [b]Examples[/b]

    A synthetic street at twenty times real time:

        earwitness-edge run --set sensor.name=corner --set source.speed=20

    The second of four sensors that share a folder of recordings:

        earwitness-edge run --set source.kind=files --set source.path=recordings
        --set source.shard_index=1 --set source.shard_count=4

    A calibrated microphone, settings from a file and the environment:

        EARWITNESS_EDGE_MQTT__HOST=hub.local earwitness-edge run --config edge.toml
        --set source.kind=microphone --set levels.full_scale_db_spl=114
    """
    remote = _remote_settings(config, overrides)
    configure_logging(remote.settings.log)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        remote.begin()
        agent = Agent(remote.settings, remote)
        summary = agent.run(stop, drain_s)
    except EarwitnessError as error:
        if remote.roll_back(f"the sensor cannot run with the new settings: {error}"):
            _start_again()
        _fail(str(error), 2 if isinstance(error, InvalidError) else 1)
    if agent.restart_due:
        _start_again()
    if as_json:
        typer.echo(to_json(asdict(summary)))


@configuration.command("show")
def config_(config: Config = None, overrides: Overrides = None) -> None:
    """Print a settings file with an explanation of each setting. Important settings that are not set are comments.

    [b]Example[/b]

        earwitness-edge config show --set sensor.name=corner --set mqtt.host=broker.example > edge.toml
    """
    settings = _settings(config, overrides)
    values = {name: _set_in(getattr(settings, name)) for name in type(settings).model_fields}
    typer.echo(render_settings_file(EdgeSettings, values, IMPORTANT), nl=False)


@app.command()
def check(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print the effective settings, and test the source, the features, the spool, the broker and the machine.

    Exits with 0 if a run would work, 1 if a test failed (the output explains the fix), 2 if the settings are
    invalid.

    [b]Example[/b]

        earwitness-edge check --config edge.toml --set source.kind=microphone
    """
    settings = _remote_settings(config, overrides).settings
    configure_logging(settings.log.model_copy(update={"level": "error"}))
    unknown = unknown_env_vars(EdgeSettings)
    findings = run_checks(settings)
    effective = settings.model_dump(mode="json")
    if as_json:
        report = {
            "settings": effective,
            "unknown_variables": unknown,
            "findings": [asdict(finding) for finding in findings],
        }
        typer.echo(to_json(report))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for group, fields in effective.items():
            console.print(f"[bold]\\[{group}][/bold]")
            for field, value in fields.items():
                console.print(f"  {field} = {to_json(value)}", markup=False)
        for name in unknown:
            console.print(f"unknown variable {name}: a typing error?", style="yellow", markup=False)
        for finding in findings:
            mark = "[green]ok[/green]" if finding.ok else "[red]failed[/red]"
            console.print(f"{finding.what}: {mark}", end=" ")
            console.print(finding.words, markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def bench(
    config: Config = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Clips to measure.")] = 30,
) -> None:
    """Measure the cost of sending embeddings instead of audio: CPU time for one clip of 10 s, and memory.

    [b]Example[/b]

        earwitness-edge bench --json
    """
    settings = _settings(config, overrides)
    try:
        from shared.backbones.benchmark import measure  # noqa: PLC0415
        from shared.backbones.onnx_backbone import Backbone  # noqa: PLC0415 - not needed to send audio

        cost = measure(Backbone(resolve_manifest(settings.features.space or EARWITNESS_SMALL.id)), repeats)
    except EarwitnessError as error:
        _fail(str(error), 2 if isinstance(error, InvalidError) else 1)
    if as_json:
        typer.echo(to_json(asdict(cost)))
    else:
        share = cost.ms_per_clip / (1e3 * CLIP_S)
        typer.echo(
            f"{cost.space}: {cost.ms_per_clip:.1f} ms a clip ({share:.2%} of one core), slowest"
            f" {cost.slowest_ms:.1f} ms; {cost.memory_mb:.0f} MB of memory"
        )


def main() -> None:
    """Run `earwitness-edge`, also as `python -m edge`."""
    app(prepare(sys.argv[1:]), prog_name="earwitness-edge")


def _set_in(group: BaseModel) -> dict[str, object]:
    return {name: getattr(group, name) for name in group.model_fields_set}


def _settings(config: Path | None, overrides: list[str] | None) -> EdgeSettings:
    try:
        return load_settings(EdgeSettings, config, overrides or [])
    except InvalidError as error:
        _fail(str(error), 2)


def _remote_settings(config: Path | None, overrides: list[str] | None) -> RemoteSettings:
    try:
        return RemoteSettings(config, overrides or [])
    except InvalidError as error:
        _fail(str(error), 2)


def _start_again() -> NoReturn:
    """Replace this process by a new run of the same command, which reads the settings again."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command line


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"earwitness-edge: {message}", err=True)
    sys.exit(code)
