"""The command `earwitness-hub demo`."""

import gc
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from hub.cli.options import JsonOption
from hub.sandbox.child_processes import Interrupt
from shared.audio import SUFFIXES
from shared.command_line import to_json
from shared.errors import InvalidError

DEFAULT_SPEED: Final = {"synthetic": 1.0, "files": 10.0, "embeddings": 60.0}
"""Seconds of sound per second, by default."""
_FOREIGN: Final = ("EARWITNESS_HUB_", "EARWITNESS_EDGE_")


def demo(
    recordings: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="play this folder of wav, flac, ogg files"),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="play VGGish embeddings from this .npz")
    ] = None,
    for_s: Annotated[
        float | None,
        typer.Option(
            "--for", min=1, help="stop after this many seconds, or after the last clip; if not given, at Ctrl-C"
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1000,
            help="factor relative to real time; if not given, 1 for the street, 10 for recordings, 60 for embeddings."
            " Clips get the time at which they are played",
        ),
    ] = None,
    sensors: Annotated[int, typer.Option(min=1, max=16, help="number of simulated sensors")] = 4,
    history_days: Annotated[
        int, typer.Option(min=0, max=60, help="days of history in the archive at the start; 0: empty archive")
    ] = 21,
    seed: Annotated[int, typer.Option(min=0, help="seed of the synthetic street and of its history")] = 1,
    json_: JsonOption = False,
) -> None:
    """Run broker, Redis, hub and simulated sensors on this machine, with weeks of history, and serve the web page.

    The history is of a synthetic street: a jackhammer on weekdays at 07:00, a saw every other night at 23:00, voices
    and music every day at the current time, and more. Then the sensors play the street live in real time, or your
    recordings or embeddings. Thresholds and the false-alert budget are the defaults. After the last clip the page
    stays until Ctrl-C. Ctrl-C ends all programs within 5 seconds; the demo deletes its files.

    The summary counts live events, not the history. The exit code is 1 if no event was archived or events were lost.
    Events that the hub had not received before Ctrl-C do not count as lost. A run may have no live alert: a
    site has at most two alerts a day about sounds that do not recur.

    Example: earwitness-hub demo --recordings ./clips --for 60 --json
    """
    from hub.sandbox.demo import Kind, Plan, run

    if recordings is not None and embeddings is not None:
        raise typer.BadParameter("give --recordings or --embeddings, not both")
    if recordings is not None and not any(path.suffix.lower() in SUFFIXES for path in recordings.rglob("*")):
        raise InvalidError(f"no recordings ({', '.join(SUFFIXES)}) under {recordings}")
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]  # settings of a deployed hub or sensor
    kind: Kind = "files" if recordings else "embeddings" if embeddings else "synthetic"
    plan = Plan(kind, recordings or embeddings, speed or DEFAULT_SPEED[kind], sensors, seed, history_days)
    interrupt = Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupt.set())
    console = Console(stderr=json_, highlight=False, soft_wrap=True)
    summary = run(plan, for_s, interrupt, console)
    gc.freeze()  # the last collections of the interpreter would take a second, which Ctrl-C does not have
    if json_:
        typer.echo(to_json(asdict(summary)))
    else:
        console.rule("summary of what was played live")
        console.print("  ".join(f"{name} {value}" for name, value in asdict(summary).items()))
    if not summary.succeeded:
        raise typer.Exit(1)
