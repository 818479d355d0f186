"""One run of the demo.

1. Start the embedded broker and Redis on free loopback ports, and a hub as a separate process.
2. Meanwhile write three weeks of history into the archive.
3. Start simulated sensors as real edge processes that play a synthetic street, recordings or embeddings.
4. Print alerts and progress. After the last clip, serve the page until Ctrl-C.
5. Let the sensors deliver their spools, compare sent with archived events, stop all processes.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from hub.sandbox.child_processes import Child, Interrupt, captured, end, start, wait_until
from hub.sandbox.history import HistoryWriter
from hub.sandbox.neighbourhood import PLACES, SITE, neighbourhood
from hub.sandbox.system import STOPPED_WITHIN_S, Demo, metric, ready, running_hub
from hub.sandbox.terminal import describe, links, machine_zone
from shared.errors import UnavailableError
from shared.synthetic_scene import SoundCast

DELIVERED_WITHIN_S: Final = 60.0
SENSORS_AFTER_S: Final = 1.2
DELIVERED_AFTER_S: Final = 1.5
"""Seconds after Ctrl-C until the sensors must have ended, and until the hub must have received their events."""
CALIBRATION_DB: Final = 100.0
"""dB SPL that the simulated sensors report for 0 dBFS."""

Kind = Literal["synthetic", "files", "embeddings"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Options of a demo run.

    Attributes:
        kind: kind of input that the sensors play.
        path: path of recordings or embeddings; None for the street.
        speed: seconds of sound per second.
        sensors: number of sensors.
        seed: seed of the street and its history.
        history_days: length of the history, in days; 0 for none.
    """

    kind: Kind
    path: Path | None
    speed: float
    sensors: int
    seed: int
    history_days: int

    @property
    def names(self) -> list[str]:
        """Names of the sensors."""
        return [f"street-{number + 1}" for number in range(self.sensors)]


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """Counts of the live part, without the history.

    Attributes:
        sent: events that the sensors captured.
        archived: events that the hub archived.
        duplicates: events that arrived twice, and were archived once.
        lost: events in neither archive nor dead letters, without those that the hub had not received before Ctrl-C.
        alerts: alerts that the hub raised.
        dead_letters: messages that the hub rejected.
    """

    sent: int = 0
    archived: int = 0
    duplicates: int = 0
    lost: int = 0
    alerts: int = 0
    dead_letters: int = 0

    @property
    def succeeded(self) -> bool:
        """Return whether the hub archived at least one event, and lost none."""
        return self.archived > 0 and self.lost == 0


def run(plan: Plan, for_s: float | None, interrupt: Interrupt, console: Console) -> DemoSummary:
    """Run the demo until `interrupt`, or until the time is over.

    Args:
        plan: options of the run.
        for_s: time that live sensors play, in seconds; None: until `interrupt`.
        interrupt: ends the demo within 5 s.
        console: console for progress and alerts.

    Raises:
        UnavailableError: a part did not start, or every sensor failed.
    """
    with (
        TemporaryDirectory(prefix="earwitness-demo-") as folder,
        running_hub(Path(folder), interrupt, console) as demo,
    ):
        if plan.history_days:
            _write_history(plan, demo)
        if not ready(demo):
            return DemoSummary()
        _greet(plan, demo)
        before = (demo.archive.count(), demo.archive.alerts.count())
        sensors = _start_sensors(plan, demo, Path(folder))
        try:
            _watch(sensors, for_s, demo)
        finally:
            printed = end(sensors, STOPPED_WITHIN_S, interrupt, SENSORS_AFTER_S)
        sent = sum(captured(text) for text in printed)
        cut_short = not _delivered(demo, before[0] + sent)
        archived, dead = demo.archive.count() - before[0], demo.archive.letters.count()
        return DemoSummary(
            sent=sent,
            archived=archived,
            duplicates=int(metric(demo.web, "earwitness_hub_events_duplicate_total")),
            lost=0 if cut_short else max(0, sent - archived - dead),
            alerts=demo.archive.alerts.count() - before[1],
            dead_letters=dead,
        )


def _write_history(plan: Plan, demo: Demo) -> None:
    """Fill the archive, and show the progress."""
    torch.set_num_threads(1)  # the hub that starts needs the other cores
    rng, zone = np.random.default_rng(plan.seed), machine_zone()
    places = [place for place in PLACES if place.partition("/")[2] in plan.names]
    cast = SoundCast.drawn(plan.seed)
    clips = neighbourhood(places, plan.history_days, datetime.now(UTC), zone, cast, rng)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    demo.console.print(
        f"making {plan.history_days} days of history: {len(clips):,} clips of {len(places)} sensors ..."
    )
    began_s = time.monotonic()
    with HistoryWriter(demo.settings, rng) as writer, Progress(*columns, console=demo.console, transient=True) as bar:
        tasks = {what: bar.add_task(what, total=1.0) for what in ("rendering scenes", "archiving history")}
        writer.write(clips, lambda what, share: bar.update(tasks[what], completed=share), demo.interrupt.is_set)
    if not demo.interrupt.is_set():
        demo.console.print(
            f"history ready after {time.monotonic() - began_s:.0f} s: {demo.archive.count():,} events, "
            f"{demo.archive.alerts.count()} alerts"
        )


def _greet(plan: Plan, demo: Demo) -> None:
    """Print the pages to open, and what the sensors play."""
    what = "a street" if plan.path is None else escape(str(plan.path))
    pace = "" if plan.speed == 1.0 else f", {plan.speed:g} times as fast as recorded"
    demo.console.print(f"\n[bold]The page is {demo.web}[/bold]\nPages to open first:")
    for shows, address in links(demo.web, demo.archive.alerts.newest(limit=200)):
        demo.console.print(f"  {shows}: {address}", markup=False)
    demo.console.print(f"\n{plan.sensors} sensors play {what}{pace}; Ctrl-C ends everything.\n")


def _start_sensors(plan: Plan, demo: Demo, folder: Path) -> list[Child]:
    settings = [
        f"sensor.site={SITE}",
        f"mqtt.port={demo.servers.mqtt_port}",
        f"source.kind={plan.kind}",
        f"source.speed={plan.speed}",
        f"source.seed={plan.seed}",
        f"source.shard_count={plan.sensors}",
        "source.timestamps=played",
        f"levels.full_scale_db_spl={CALIBRATION_DB}",
        "log.level=warning",
    ]
    if plan.path is not None:
        settings.append(f"source.path={plan.path.resolve()}")
    return [
        start(
            "edge",
            "run",
            [
                *settings,
                f"sensor.name={name}",
                f"source.shard_index={number}",
                f"spool.path={folder / f'{name}.sqlite'}",
            ],
            ("--json",),
        )
        for number, name in enumerate(plan.names)
    ]


def _watch(sensors: list[Child], for_s: float | None, demo: Demo) -> None:
    """Print alerts and progress; after the last clip, wait for the interrupt.

    Raises:
        UnavailableError: every sensor failed, or the hub ended.
    """
    zone, began_s, played = machine_zone(), time.monotonic(), False
    archived = demo.archive.count()
    seen = {alert.event for alert in demo.archive.alerts.newest(limit=1_000)}
    known, printed_at_s = len(seen), began_s
    while not demo.interrupt.wait(0.5):
        elapsed_s = time.monotonic() - began_s
        for alert in reversed(demo.archive.alerts.newest(limit=100)):
            if alert.event not in seen:
                seen.add(alert.event)
                demo.console.print(describe(alert, zone))
        if demo.process.poll() is not None:
            raise UnavailableError("the hub ended; its log is above")
        if not played and time.monotonic() - printed_at_s >= 5.0:
            printed_at_s = time.monotonic()
            events, alerts = demo.archive.count() - archived, len(seen) - known
            demo.console.print(f"[dim]{elapsed_s:4.0f} s  {events} live events archived, {alerts} alerts[/dim]")
        if for_s is not None and elapsed_s >= for_s:
            return
        if not played and all(sensor.poll() is not None for sensor in sensors):
            if all(sensor.returncode != 0 for sensor in sensors):
                raise UnavailableError("every sensor failed; the reasons are above")
            if for_s is not None:
                return
            played = True
            demo.console.print(f"All clips were played. The page stays at {demo.web} until Ctrl-C.")


def _delivered(demo: Demo, expected: int) -> bool:
    """Wait for the hub to receive the events that the sensors delivered, while it makes progress.

    Returns:
        False if the interrupt ended the wait.
    """

    def waiting() -> int:
        return expected - demo.archive.count() - demo.archive.letters.count()

    def fewer(than: int) -> bool:
        return waiting() < than

    left = waiting()
    while left > 0 and wait_until(partial(fewer, left), DELIVERED_WITHIN_S, demo.interrupt, DELIVERED_AFTER_S):
        left = waiting()
    if left <= 0 or not demo.interrupt.is_set():
        return True
    demo.console.print(f"The hub had not received {left} events of the sensors before Ctrl-C.")
    return False
