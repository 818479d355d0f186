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
from edge.bench import measure_cost
from edge.calibrate_command import calibrate
from edge.command_options import AsJson, Config, Overrides, fail, read_settings
from edge.commands.remote_settings import RemoteSettings
from edge.diagnostics import run_checks
from edge.settings import EdgeSettings
from shared.backbones import resolve_manifest
from shared.command_line import prepare, to_json
from shared.errors import EarwitnessError, InvalidError
from shared.feature_space import EARWITNESS_SMALL
from shared.logging import configure_logging
from shared.settings import unknown_env_vars
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

IMPORTANT: Final = {
    "sensor": ("site", "name"),
    "mqtt": ("host", "port"),
    "source": ("kind", "device", "rate_hz"),
    "features": ("space",),
    "send": ("what",),
    "privacy": ("no_speech", "sealed_to"),
    "levels": ("full_scale_db_spl",),
    "calibration": ("correction",),
    "spool": ("path", "max_bytes"),
    "log": ("level", "format"),
}
"""Settings that `config show` prints as comments when they are not set."""


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
        fail(str(error), 2 if isinstance(error, InvalidError) else 1)
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
    settings = read_settings(config, overrides)
    values = {name: _set_in(getattr(settings, name)) for name in type(settings).model_fields}
    typer.echo(render_settings_file(EdgeSettings, values, IMPORTANT), nl=False)


@app.command()
def check(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print the effective settings, and test microphone, level, clock, broker, TLS, disk and what else it needs.

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
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Clips of 10 s per benchmark.")] = 30,
) -> None:
    """Measure the cost of this sensor: CPU time and memory for levels, clips and embeddings, each in a new process.

    A realtime factor of 12.5 means 8 % of one core. The memory of embeddings includes the model.

    [b]Example[/b]

        earwitness-edge bench --json
    """
    settings = read_settings(config, overrides)
    space = settings.features.space or EARWITNESS_SMALL.id
    try:
        resolve_manifest(space)
        cost = measure_cost(space, repeats)
    except EarwitnessError as error:
        fail(str(error), 2 if isinstance(error, InvalidError) else 1)
    if as_json:
        typer.echo(to_json(asdict(cost)))
        return
    rows = (
        ("levels", cost.levels_realtime_factor, None),
        ("levels and FLAC", cost.clip_realtime_factor, cost.clip_peak_mb),
        (f"levels and {cost.space}", cost.embedding_realtime_factor, cost.embedding_peak_mb),
    )
    for name, factor, memory_mb in rows:
        memory = "" if memory_mb is None else f", {memory_mb:.0f} MB of memory"
        typer.echo(f"{name}: {factor:.0f} times real time ({1.0 / factor:.1%} of one core){memory}")


@app.command()
def conformance() -> None:
    """Measure the level meter against the class 1 and class 2 limits of its standards, and print a Markdown page.

    [b]Example[/b]

        earwitness-edge conformance > docs/conformance.md
    """
    from edge.conformance.report import page  # noqa: PLC0415 - a sensor does not load it

    typer.echo(page(), nl=False)


app.command()(calibrate)


@app.command("bench-speech")
def bench_speech(
    speech: Annotated[Path, typer.Option("--speech", help="Folder of recorded speech without background.")],
    street: Annotated[Path, typer.Option("--street", help="Folder of recorded clips of 10 s without speech.")],
    mixtures: Annotated[int, typer.Option("--mixtures", min=1, help="Number of mixtures.")] = 200,
    above_street_db: Annotated[
        float, typer.Option("--above-street-db", help="LAeq of the speech above the LAeq of the street.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Measure the speech detector of `privacy.no_speech` on mixtures of your recordings.

    [b]Example[/b]

        earwitness-edge bench-speech --speech voices --street street --json
    """
    try:
        from edge.speech_detector import SileroDetector  # noqa: PLC0415 - only this mode needs it
        from edge.speech_measurement import measure_detector  # noqa: PLC0415

        figures = measure_detector(
            SileroDetector(), speech, street, mixtures=mixtures, above_street_db=above_street_db
        )
    except EarwitnessError as error:
        fail(str(error), 2 if isinstance(error, InvalidError) else 1)
    if as_json:
        typer.echo(to_json(asdict(figures)))
    else:
        typer.echo(
            f"speech: {figures.removed_share:.1%} of {figures.speech_s:.0f} s in {figures.mixtures} mixtures removed;"
            f" street: {figures.withheld_share:.1%} of {figures.street_clips} clips without speech withheld"
        )


def main() -> None:
    """Run `earwitness-edge`, also as `python -m edge`."""
    app(prepare(sys.argv[1:]), prog_name="earwitness-edge")


def _set_in(group: BaseModel) -> dict[str, object]:
    return {name: getattr(group, name) for name in group.model_fields_set}


def _remote_settings(config: Path | None, overrides: list[str] | None) -> RemoteSettings:
    try:
        return RemoteSettings(config, overrides or [])
    except InvalidError as error:
        fail(str(error), 2)


def _start_again() -> NoReturn:
    """Replace this process by a new run of the same command, which reads the settings again."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command line
