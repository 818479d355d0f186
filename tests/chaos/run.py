"""A seeded run in which everything fails: `python -m tests.chaos.run --minutes 3 --seed 1`.

A real broker and store, two hubs, and four sensors that play embeddings through a line. Parts are killed, frozen and
restarted in any order; the line is cut, delayed and half-opened; disks and the store are full for a while; clocks
jump. Afterwards everything that the sensors captured must be archived once, and no episode may have two alerts.
The last line on standard output is a JSON object; the exit code is 0 if nothing was lost, doubled or repeated.
"""

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from hub.store.events import EventStore
from shared.errors import UnavailableError
from tests.chaos.network import FAKETIME, SITE, STORE_BYTES, ChaosHub, Network, Sensor
from tests.server_processes import Server, eventually

_TICK_S: Final = 0.2
_RECOVERED_WITHIN_S: Final = 180.0
_FULL_STORE_BYTES: Final = 1_000_000
_DAY_S: Final = 86_400
_LOST_CLOCK_S: Final = -50 * 365 * _DAY_S
"""As of a device whose clock starts in the seventies."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to one part, and ends after a while.

    Attributes:
        name: what it is, and to whom.
        part: key of the part; a part has one fault at a time.
        begin: brings it about.
        end: ends it.
        lasts_s: shortest and longest time between the two.
    """

    name: str
    part: str
    begin: Callable[[], object]
    end: Callable[[], object]
    lasts_s: tuple[float, float] = (0.5, 6.0)


@dataclass(slots=True)
class Report:
    """The result of a run.

    `sent` are the events that sensors put in their spools. `recovery_s` holds, by kind of fault, the median and the
    longest time from a fault's end until something of every sensor that was up was archived again.
    """

    minutes: float
    seed: int
    faults: int = 0
    sent: int = 0
    archived: int = 0
    dead_letters: int = 0
    lost: int = 0
    doubled: int = 0
    alerts: int = 0
    alerts_repeated: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    recovery_s: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Nothing was lost, doubled or repeated, and there was something to lose."""
        return self.sent > 0 and self.lost == self.doubled == self.alerts_repeated == self.dead_letters == 0


@dataclass(slots=True)
class _Recovery:
    """A fault that ended: since when, and how many events of each sensor were archived when the store answered."""

    kind: str
    since_s: float
    before: dict[str, int] = field(default_factory=dict)


def faults_of(network: Network) -> list[Fault]:
    """Every fault that this network can have."""
    faults: list[Fault] = []
    servers: dict[str, Server] = {"broker": network.broker, "store": network.store}
    servers |= {f"hub-{number}": hub for number, hub in enumerate(network.hubs, 1)}
    servers |= {sensor.name: sensor for sensor in network.sensors}
    for name, server in servers.items():
        faults += [
            Fault(f"kill {name}", name, server.kill, server.start),
            Fault(f"restart {name}", name, partial(server.kill, signal.SIGTERM), server.start),
            Fault(f"freeze {name}", name, server.freeze, server.thaw, (1.0, 12.0)),
        ]
    faults += _of_line(network)
    faults.append(Fault("store full", "store", partial(_bound, network, _FULL_STORE_BYTES), partial(_bound, network)))
    for sensor in network.sensors:
        faults.append(Fault(f"disk full {sensor.name}", sensor.name, sensor.fill_disk, sensor.free_disk))
        faults += _jumps(sensor.name, sensor, (_DAY_S, -_DAY_S, _LOST_CLOCK_S))
    for number, hub in enumerate(network.hubs, 1):
        faults += _jumps(f"hub-{number}", hub, (200 * _DAY_S, -_DAY_S))
    return faults


def _of_line(network: Network) -> list[Fault]:
    line = network.line
    return [
        Fault("cut line", "line", line.cut, lambda: None, (0.2, 0.5)),
        Fault(
            "refuse line", "line", partial(_refuse, network, refused=True), partial(_refuse, network, refused=False)
        ),
        Fault("delay line", "line", partial(setattr, line, "delay_s", 0.3), partial(setattr, line, "delay_s", 0.0)),
        Fault(
            "half-open line",
            "line",
            partial(setattr, line, "half_open", True),
            partial(_reopen, network),
            (2.0, 15.0),
        ),
    ]


def _jumps(name: str, part: Sensor | ChaosHub, jumps_s: tuple[int, ...]) -> list[Fault]:
    if FAKETIME is None:
        return []
    return [
        Fault(
            f"clock {name} {jump_s:+d} s",
            name,
            partial(part.clock.move, jump_s),
            partial(part.clock.move, 0),
            (3.0, 15.0),
        )
        for jump_s in jumps_s
    ]


def _refuse(network: Network, *, refused: bool) -> None:
    network.line.refused = refused
    network.line.cut()


def _reopen(network: Network) -> None:
    network.line.half_open = False
    network.line.cut()


def _bound(network: Network, size: int = STORE_BYTES) -> None:
    redis.Redis.from_url(network.store.url, protocol=2, socket_timeout=5).config_set("maxmemory", size)


class Chaos:
    """One run: strikes, watches recovery, and counts at the end.

    Args:
        network: that is struck; started.
        rng: decides what happens, and when.
        log_line: receives lines of progress.
    """

    def __init__(self, network: Network, rng: random.Random, log_line: Callable[[str], None]) -> None:
        self._network = network
        self._rng = rng
        self._print_line = log_line
        self._archive = EventStore(network.store.url, timeout_s=1.0)
        self._current: dict[str, tuple[Fault, float]] = {}
        self._waiting: list[_Recovery] = []
        self.struck: Counter[str] = Counter()
        self.recovery: dict[str, list[float]] = defaultdict(list)

    def run(self, seconds: float, pause_s: tuple[float, float]) -> None:
        """Inject faults for a time, one after the other and some at once; then end all of them."""
        faults, until = faults_of(self._network), time.monotonic() + seconds
        next_at = time.monotonic() + pause_s[1]
        while time.monotonic() < until:
            now_s = time.monotonic()
            for part in [part for part, (_, end) in self._current.items() if now_s >= end]:
                self._end(part)
            if now_s >= next_at:
                free = [fault for fault in faults if fault.part not in self._current]
                self._begin(self._rng.choice(free))
                next_at = now_s + self._rng.uniform(*pause_s)
            self._look()
            time.sleep(_TICK_S)
        for part in list(self._current):
            self._end(part)

    def settle(self) -> None:
        """Let sensors deliver what they hold, and the hubs archive it."""
        network = self._network
        deadline = time.monotonic() + _RECOVERED_WITHIN_S
        while self._waiting and time.monotonic() < deadline:
            self._look()
            time.sleep(_TICK_S)
        for sensor in network.sensors:
            sensor.finish(_RECOVERED_WITHIN_S)
        sent = sum(sensor.captured() for sensor in network.sensors)
        try:
            eventually(lambda: self._archive.count() >= sent, _RECOVERED_WITHIN_S, f"{sent} events are archived")
        except AssertionError as error:
            self._print_line(str(error))

    def count(self, report: Report) -> Report:
        """Compare what was sent with what is archived."""
        archive, sensors = self._archive, self._network.sensors
        ids = [event for page in archive.ids() for event in page]
        alerts = archive.alerts.newest(limit=1_000_000)
        reported = Counter((alert.site, alert.sensor, alert.episode) for alert in alerts if alert.episode)
        report.faults, report.kinds = sum(self.struck.values()), dict(sorted(self.struck.items()))
        report.sent = sum(sensor.captured() for sensor in sensors)
        report.archived, report.dead_letters = len(ids), archive.letters.count()
        report.lost = max(0, report.sent - report.archived - report.dead_letters)
        counted = sum(sensor.events for sensor in archive.sensors.all())
        report.doubled = len(ids) - len(set(ids)) + max(0, counted - report.archived)
        report.alerts = len(alerts)
        report.alerts_repeated = sum(times - 1 for times in reported.values())
        report.recovery_s = {
            kind: {"median": round(statistics.median(times), 1), "most": round(max(times), 1)}
            for kind, times in sorted(self.recovery.items())
        }
        return report

    def _begin(self, fault: Fault) -> None:
        self._print_line(f"begin {fault.name}")
        try:
            fault.begin()
        except (redis.RedisError, OSError) as error:
            self._print_line(f"{fault.name} could not begin: {error}")
            return
        self._current[fault.part] = (fault, time.monotonic() + self._rng.uniform(*fault.lasts_s))
        self.struck[_kind(fault)] += 1

    def _end(self, part: str) -> None:
        fault, _ = self._current.pop(part)
        for _ in range(50):
            try:
                fault.end()
            except redis.RedisError:
                time.sleep(_TICK_S)
            else:
                break
        self._print_line(f"end {fault.name}")
        self._waiting.append(_Recovery(_kind(fault), time.monotonic()))

    def _look(self) -> None:
        """Note which faults the network has recovered from."""
        try:
            counts = {sensor.place: sensor.events for sensor in self._archive.sensors.all()}
        except UnavailableError:
            return
        up = [f"{SITE}/{sensor.name}" for sensor in self._network.sensors if sensor.name not in self._current]
        for one in list(self._waiting):
            if not one.before:
                one.before = counts
            elif all(counts.get(place, 0) > one.before.get(place, 0) for place in up):
                self._waiting.remove(one)
                self.recovery[one.kind].append(time.monotonic() - one.since_s)


def _kind(fault: Fault) -> str:
    """A fault's name without the number of its part."""
    return " ".join(
        word.rstrip("-1234") if word.startswith(("hub", "street")) else word for word in fault.name.split()
    )


def run(folder: Path, *, minutes: float, seed: int, speed: float, log_line: Callable[[str], None]) -> Report:
    """Run the network for some minutes, strike it, and count."""
    rng = random.Random(seed)
    network = Network(folder, minutes, speed, seed)
    try:
        network.start()
        for hub in network.hubs:
            eventually(hub.ready, 120, f"a hub answers; its log is {hub.folder / 'log'}")
        chaos = Chaos(network, rng, log_line)
        chaos.run(60 * minutes, (3.0, 16.0))
        chaos.settle()
        return chaos.count(Report(minutes, seed))
    finally:
        network.stop()


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults go on (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="decides what happens, and when (default 1)")
    parser.add_argument("--speed", type=float, default=75.0, help="times faster than real time (default 75)")
    parser.add_argument("--folder", type=Path, help="keep logs, spools and store here; a temporary folder otherwise")
    arguments = parser.parse_args()
    started = time.monotonic()

    def log_line(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201

    options: dict[str, Any] = {"minutes": arguments.minutes, "seed": arguments.seed, "speed": arguments.speed}
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        report = run(arguments.folder, log_line=log_line, **options)
    else:
        with tempfile.TemporaryDirectory(prefix="earwitness-chaos-") as folder:
            report = run(Path(folder), log_line=log_line, **options)
    print(json.dumps(asdict(report)))  # noqa: T201
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
