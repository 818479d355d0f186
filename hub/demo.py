"""`earwitness-hub demo`: the whole system on one machine, with nothing to install first.

1. Start the embedded broker and store on free loopback ports, and a hub as a process of its own.
2. Start simulated sensors as real edge processes that play a synthetic street scene, recordings or embeddings.
3. Print what happens; at the end let the sensors deliver what they hold, compare sent with archived, stop all.
"""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from hub.archive import Archive
from hub.embedded import Servers, embedded_servers, free_port, shielded_from_ctrl_c
from hub.options import JsonOption
from shared.command_line import to_json
from shared.errors import Unavailable
from shared.messages import AlertMessage

HUB_READY_WITHIN_S: Final = 180.0
DELIVERED_WITHIN_S: Final = 60.0
STOPPED_WITHIN_S: Final = 30.0
PACE: Final = {"scene": 10.0, "files": 10.0, "embeddings": 60.0}
"""How much faster than real time each kind of source plays by default."""
UNBOUNDED_S: Final = 600.0
"""How long a demo without end is taken to last: clips are stamped so that they end about now."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the sensors play."""

    kind: str
    path: Path | None
    speed: float
    sensors: int
    seed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo did. `sent` is what the sensors captured; `lost` what never reached archive or dead letters."""

    sent: int
    archived: int
    duplicates: int
    lost: int
    alerts: int
    dead_letters: int

    @property
    def good(self) -> bool:
        """Something was archived and flagged, and nothing was lost."""
        return self.archived > 0 and self.alerts > 0 and self.lost == 0


def demo(
    recordings: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="play this folder of wav, flac, ogg files"),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="play VGGish embeddings from this .npz")
    ] = None,
    for_s: Annotated[
        float | None, typer.Option("--for", min=1, help="end after so many seconds; otherwise at Ctrl-C")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.1, max=1000, help="times faster than real time; 10 for sound")
    ] = None,
    sensors: Annotated[int, typer.Option(min=1, max=16, help="how many simulated sensors")] = 4,
    seed: Annotated[int, typer.Option(help="seed of the synthetic scene")] = 1,
    json_: JsonOption = False,
) -> None:
    """Run everything here, now: broker, store, hub and sensors, and watch similar past events being found.

    Without options the sensors play a synthetic street scene, ten times faster than real time. The exit code is
    1 if nothing was archived or flagged, or something was lost.

    Example: earwitness-hub demo --recordings ./clips --for 60 --json
    """
    if recordings is not None and embeddings is not None:
        raise typer.BadParameter("give --recordings or --embeddings, not both")
    kind = "files" if recordings else "embeddings" if embeddings else "scene"
    source = Source(kind, recordings or embeddings, speed or PACE[kind], sensors, seed)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = Console(stderr=json_, highlight=False, soft_wrap=True)
    summary = run(source, for_s, stop, console)
    if json_:
        typer.echo(to_json(asdict(summary)))
    else:
        console.rule("summary")
        console.print("  ".join(f"{name} {value}" for name, value in asdict(summary).items()))
    if not summary.good:
        raise typer.Exit(1)


def run(source: Source, for_s: float | None, stop: threading.Event, console: Console) -> Summary:
    """Run the demo until `stop`, the time is over, or the sensors have nothing left to play.

    Raises:
        Unavailable: a part did not start.
    """
    console.print("starting broker, store and hub ...")
    with (
        tempfile.TemporaryDirectory(prefix="earwitness-demo-") as folder,
        embedded_servers() as servers,
        _hub(servers) as (process, web),
        contextlib.closing(Archive(servers.redis_url)) as archive,
    ):
        if not _wait_until_healthy(process, web, stop):
            return Summary(0, 0, 0, 0, 0, 0)
        console.print(f"hub ready: {web}   (API: {web}/docs, metrics: {web}/metrics)")
        start = datetime.now(UTC) - timedelta(seconds=source.speed * (for_s or UNBOUNDED_S))
        processes = _start_sensors(source, servers, Path(folder), start)
        console.print(f"{source.sensors} sensors play {source.path or 'a street scene'} at x{source.speed:g}\n")
        try:
            _watch(archive, processes, for_s, stop, console)
        finally:
            sent = _stop_sensors(processes)
        _wait_until_delivered(archive, sent)
        archived, dead = archive.count(), archive.dead_letter_count()
        return Summary(
            sent=sent,
            archived=archived,
            duplicates=int(_metric(web, "earwitness_hub_events_duplicate_total")),
            lost=max(0, sent - archived - dead),
            alerts=archive.alert_count(),
            dead_letters=dead,
        )


@contextlib.contextmanager
def _hub(servers: Servers) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = _start(
        "hub",
        "serve",
        f"mqtt.port={servers.mqtt_port}",
        f"redis.url={servers.redis_url}",
        f"web.port={port}",
        "log.level=warning",
        "flagging.false_alerts_a_day=1000",  # there is something to see within a minute, not a day
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        _terminate(process)


def _start_sensors(source: Source, servers: Servers, folder: Path, start: datetime) -> list[subprocess.Popen[str]]:
    settings = [
        "sensor.site=demo",
        f"mqtt.port={servers.mqtt_port}",
        f"source.kind={source.kind}",
        f"source.speed={source.speed}",
        f"source.seed={source.seed}",
        f"source.shard_count={source.sensors}",
        f"source.start={start.isoformat()}",
        "log.level=warning",
    ]
    if source.path is not None:
        settings.append(f"source.path={source.path.resolve()}")
    return [
        _start(
            "edge",
            "run",
            *settings,
            f"sensor.name=street-{number + 1}",
            f"source.shard_index={number}",
            f"spool.path={folder / f'street-{number + 1}.sqlite'}",
            flags=("--json",),
        )
        for number in range(source.sensors)
    ]


def _start(package: str, command: str, *settings: str, flags: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    overrides = [part for setting in settings for part in ("--set", setting)]
    with shielded_from_ctrl_c():
        return subprocess.Popen(  # noqa: S603 - our own programs, our own arguments
            [sys.executable, "-m", package, command, *flags, *overrides], stdout=subprocess.PIPE, text=True
        )


def _terminate(process: subprocess.Popen[str]) -> str:
    """Ask a process to stop, insist after a while; returns what it printed."""
    process.terminate()
    try:
        printed, _ = process.communicate(timeout=STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
    return printed


def _stop_sensors(processes: list[subprocess.Popen[str]]) -> int:
    """Let the sensors deliver what they hold and end; returns how many events they captured."""
    for process in processes:
        process.terminate()
    lines = [_terminate(process).strip().splitlines() for process in processes]
    return sum(int(json.loads(printed[-1])["captured"]) for printed in lines if printed)


def _watch(
    archive: Archive,
    processes: list[subprocess.Popen[str]],
    for_s: float | None,
    stop: threading.Event,
    console: Console,
) -> None:
    """Print alerts and progress as they come."""
    started = time.monotonic()
    told_at, seen = started, set[str]()
    while not stop.wait(0.5):
        elapsed = time.monotonic() - started
        for alert in reversed(archive.alerts(limit=100)):
            if alert.event not in seen:
                seen.add(alert.event)
                console.print(describe(alert))
        if time.monotonic() - told_at >= 5.0:
            told_at = time.monotonic()
            console.print(f"[dim]{elapsed:4.0f} s  {archive.count()} events archived, {len(seen)} alerts[/dim]")
        if for_s is not None and elapsed >= for_s:
            return
        if all(process.poll() is not None for process in processes):
            return


def describe(alert: AlertMessage) -> str:
    """An alert in two lines: what was heard, and the best match with the reason."""
    best = alert.matches[0]
    about = ", ".join(alert.categories)
    above = "" if alert.above_ambient_db is None else f", {alert.above_ambient_db:+.0f} dB to ambient"
    likely = alert.probability or 0.0
    more = f" (and {len(alert.matches) - 1} more)" if len(alert.matches) > 1 else ""
    both = ", ".join(f"{name} {p:.0%}" for name, p in best.shared.items())
    return (
        f"[bold]{alert.captured_at:%H:%M:%S} {alert.site}/{alert.sensor}: {about}[/bold] "
        f"at {alert.laeq:.0f} {alert.level_unit}{above}\n"
        f"         {likely:.0%} likely the same kind of sound as {best.captured_at:%H:%M:%S} "
        f"{best.site}/{best.sensor}{more}: both have {both}"
    )


def _wait_until_healthy(hub: subprocess.Popen[str], web: str, stop: threading.Event) -> bool:
    deadline = time.monotonic() + HUB_READY_WITHIN_S
    while not stop.is_set():
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{web}/healthz"):  # noqa: S310
            return True
        if hub.poll() is not None or time.monotonic() > deadline:
            raise Unavailable("the hub did not become ready; its log is above")
        stop.wait(0.3)
    return False


def _wait_until_delivered(archive: Archive, sent: int) -> None:
    """Wait for the hub to take what the sensors delivered, for as long as it makes progress."""
    pause = threading.Event()
    deadline, before = time.monotonic() + DELIVERED_WITHIN_S, -1
    while time.monotonic() < deadline:
        taken = archive.count() + archive.dead_letter_count()
        if taken >= sent:
            return
        if taken > before:
            deadline, before = time.monotonic() + DELIVERED_WITHIN_S, taken
        pause.wait(0.2)


def _metric(web: str, name: str) -> float:
    with urllib.request.urlopen(f"{web}/metrics") as answer:  # noqa: S310 - our own loopback server
        text = answer.read().decode()
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)
