"""Measure the memory of the agent over a simulated day: `python -m tests.edge.endurance --hours 24`.

The agent plays a synthetic street as fast as it can to the broker of the wheels. A subscriber counts the events and
reads the agent's resident memory 36 times per simulated hour. The median of an hour leaves out the arrays of the clip
under way. The last line on standard output is a JSON object. The exit code is 0 if every clip and every second of
the level series came, clips in order of capture, and the memory of the last hour is within 2 % of that of the second.
"""

import argparse
import json
import os
import queue
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from shared.events import CLIP_S
from shared.level_series import decode_series
from shared.messages.event import decode_event
from shared.mqtt.session import Connected, MqttSession, Received, Subscribed
from shared.mqtt.topics import ALL_EVENTS, ALL_LEVELS, SensorTopic
from tests.server_processes import EdgeProcess, Rumqttd

CLIPS_PER_HOUR = int(3_600 / CLIP_S)
SAMPLES_PER_HOUR = 36
MOST_GROWTH = 0.02
SILENT_S = 120.0
"""An agent that sends nothing for this many seconds has failed."""


@dataclass(frozen=True)
class Endurance:
    """What was measured.

    Attributes:
        clips: events received, without repeats.
        repeats: events received again.
        out_of_order: events received after one with a higher number.
        misplaced: clips that do not begin when the clip with the number before ends.
        level_seconds: seconds of level series received, without repeats.
        hours_mb: median resident memory of the agent in each simulated hour, in megabytes.
        growth: memory of the last hour over that of the second, less 1; 0 if there is no second hour.
        seconds: real time.
    """

    clips: int
    repeats: int
    out_of_order: int
    misplaced: int
    level_seconds: int
    hours_mb: list[float]
    growth: float
    seconds: float


def resident_mb(pid: int) -> float:
    """Resident memory of a process in megabytes. Source: proc(5), statm."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(folder: Path, clips: int, *settings: str, clips_per_hour: int = CLIPS_PER_HOUR) -> Endurance:
    """Run an agent for a number of clips.

    Args:
        folder: empty folder for the broker and the spool.
        clips: number of clips to play.
        settings: further settings of the agent, each `group.field=value`.
        clips_per_hour: clips of one simulated hour.
    """
    broker = Rumqttd(folder / "broker")
    broker.start()
    listener = MqttSession(broker.settings, "listener")
    listener.start()
    started_s = time.monotonic()
    try:
        _subscribe(listener)
        agent = EdgeProcess(
            folder,
            broker.port,
            f"source.max_clips={clips}",
            "source.speed=1000000",
            "spool.resend_window_s=2",
            *settings,
            forked=False,
        )
        try:
            found = _receive(listener, agent, clips, max(1, clips_per_hour // SAMPLES_PER_HOUR))
            agent.finish()
        finally:
            agent.kill()
    finally:
        listener.stop()
        broker.stop()
    hours = [
        statistics.median(mb for at, mb in found.samples if at // clips_per_hour == hour)
        for hour in range(-(-clips // clips_per_hour))
    ]
    first = list(dict.fromkeys(found.numbers))
    begins = [found.begins[number] for number in sorted(first)]
    return Endurance(
        clips=len(first),
        repeats=len(found.numbers) - len(first),
        out_of_order=sum(number < highest for number, highest in zip(first, accumulate(first, max), strict=True)),
        misplaced=sum((later - at).total_seconds() != CLIP_S for at, later in pairwise(begins)),
        level_seconds=len(found.seconds),
        hours_mb=[round(mb, 2) for mb in hours],
        growth=round(hours[-1] / hours[1] - 1.0, 4) if len(hours) > 1 else 0.0,
        seconds=round(time.monotonic() - started_s, 1),
    )


@dataclass
class _Arrived:
    """What came.

    Attributes:
        numbers: of the events, in order of receipt.
        begins: captured times of the clips, by number.
        seconds: those of the level series, in seconds since 1970 UTC.
        samples: the agent's memory in megabytes, by number of the event.
    """

    numbers: list[int] = field(default_factory=list)
    begins: dict[int, datetime] = field(default_factory=dict)
    seconds: set[int] = field(default_factory=set)
    samples: list[tuple[int, float]] = field(default_factory=list)


def _subscribe(listener: MqttSession) -> None:
    while not isinstance(listener.signals.get(timeout=20), Connected):
        pass
    for topics in (ALL_EVENTS, ALL_LEVELS):
        listener.subscribe(topics)
        while not isinstance(listener.signals.get(timeout=20), Subscribed):
            pass


def _receive(listener: MqttSession, agent: EdgeProcess, clips: int, every: int) -> _Arrived:
    """Return what came once all clips and their seconds are there, or nothing came for `SILENT_S`."""
    found = _Arrived()
    while len(found.begins) < clips or len(found.seconds) < clips * CLIP_S:
        try:
            message = listener.signals.get(timeout=SILENT_S)
        except queue.Empty:
            return found
        if not isinstance(message, Received):
            continue
        listener.acknowledge(message)
        if SensorTopic.parse(message.topic).kind == "levels":
            series = decode_series(message.payload)
            found.seconds.update(series.start_s + int(at) for at in np.flatnonzero(series.present))
            continue
        event = decode_event(message.payload)
        number = event.id.seq
        if number % every == 0:
            found.samples.append((number, resident_mb(agent.process.pid)))
        found.numbers.append(number)
        found.begins[number] = event.captured_at
        if len(found.numbers) % CLIPS_PER_HOUR == 0:
            sys.stderr.write(f"{len(found.numbers)} of {clips} clips, {found.samples[-1][1]:.1f} MB\n")
    return found


def main() -> int:
    """Measure, print the result as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hours", type=int, default=24, help="simulated hours")
    parser.add_argument("--rate-hz", type=int, default=22_050, help="sample rate of the sound")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        done = measure(Path(name), arguments.hours * CLIPS_PER_HOUR, f"source.rate_hz={arguments.rate_hz}")
    sys.stdout.write(json.dumps(asdict(done)) + "\n")
    clips = arguments.hours * CLIPS_PER_HOUR
    came = (done.clips, done.out_of_order, done.misplaced, done.level_seconds)
    right = came == (clips, 0, 0, int(clips * CLIP_S))
    return 0 if right and abs(done.growth) <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
