"""A look at the sensors: how each is, what of its events is missing, what its microphone hears, what it reports.

Only sensors that announced themselves or whose events were archived are known. They have metrics of their own, up to
a limit the first by name, so that one which falls silent is not the one left out. What was measured is told only
while a sensor is heard, so that a dead one does not stay at its last level; what else is told of it goes once it was
not heard for long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hub.domain.records import Sensor
from hub.domain.sensor_status import SensorStatus, sensor_status
from hub.metrics.definitions import STATES, HubMetrics
from hub.store import keys
from hub.store.events import EventStore, translated
from hub.store.sensor_signals import NOTHING, SignalStats, parse_signal_stats

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SensorReading:
    """A sensor as it is now."""

    sensor: Sensor
    hearing: SignalStats
    condition: SensorStatus

    @property
    def labels(self) -> tuple[str, str]:
        """Site and name."""
        site, _, name = self.sensor.place.partition("/")
        return site, name

    @property
    def heard_at(self) -> datetime:
        """When an event last came; long ago if none ever did."""
        return self.sensor.last_received_at or _LONG_AGO


def select_exported(
    looked: Sequence[SensorReading], now: datetime, *, most: int, forget_s: float
) -> list[SensorReading]:
    """Those that have metrics of their own: not forgotten, and if they are too many the first by name.

    One that was never heard is there for as long as it says that it is ready.
    """
    there = [
        one
        for one in looked
        if (now - one.heard_at).total_seconds() < forget_s
        or (one.sensor.last_received_at is None and one.sensor.state == "ready")
    ]
    return sorted(there, key=lambda one: one.sensor.place)[:most]


class SensorProbe:
    """Reads the sensors from the store, and tells how they are.

    Args:
        archive: whose sensors.
        metrics: where they are told.
        most: sensors with metrics of their own.
        forget_s: one not heard for so long has none, in seconds.
    """

    def __init__(self, archive: EventStore, metrics: HubMetrics, *, most: int, forget_s: float) -> None:
        self._archive = archive
        self._redis = archive.client
        self._metrics = metrics
        self._most = most
        self._forget_s = forget_s

    def run(self, now: datetime) -> None:
        """Tell all sensors as they are.

        Raises:
            Unavailable: the store is away.
        """
        looked = self._read(now)
        told = select_exported(looked, now, most=self._most, forget_s=self._forget_s)
        self._metrics.store_sensors.set(len(looked))
        known = select_exported(looked, now, most=len(looked), forget_s=self._forget_s)
        self._metrics.sensors_left_out.set(len(known) - len(told))
        self._tell(told)

    def on_store_unavailable(self) -> None:
        """Tell nothing of any sensor: the store is away."""
        self._tell([])

    @translated
    def _read(self, now: datetime) -> list[SensorReading]:
        places = sorted(name.decode() for name in self._redis.smembers(keys.SENSORS))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(keys.sensor(place))
        looked = []
        for place, row in zip(places, pipe.execute(), strict=True):
            sensor = self._archive.sensors.from_row(place, row) if row else None
            if sensor is not None:
                hearing = self._archive.rows.read("hearing", place, parse_signal_stats, row) or NOTHING
                looked.append(SensorReading(sensor, hearing, sensor_status(sensor, now)))
        return looked

    def _tell(self, told: Sequence[SensorReading]) -> None:
        metrics = self._metrics
        spoken = [one for one in told if one.sensor.last_received_at is not None]
        hearing = [one for one in spoken if one.condition.is_ok]
        metrics.sensor_state.replace_all(
            {(*one.labels, state): float(one.condition.word == state) for one in told for state in STATES}
        )
        metrics.sensor_heard.replace_all({one.labels: one.heard_at.timestamp() for one in spoken})
        metrics.sensor_events.replace_all({one.labels: float(one.sensor.events) for one in spoken})
        metrics.sensor_missing.replace_all({one.labels: float(one.hearing.missing) for one in spoken})
        metrics.sensor_delay.replace_all(
            {one.labels: one.condition.delay.total_seconds() for one in hearing if one.condition.delay is not None}
        )
        metrics.sensor_level.replace_all(
            {(*one.labels, one.hearing.unit): one.hearing.level for one in hearing if one.hearing.level is not None}
        )
        metrics.sensor_sound.replace_all(
            {one.labels: one.hearing.sound_s for one in hearing if one.hearing.sound_s is not None}
        )
        metrics.sensor_varied.replace_all(
            {one.labels: one.hearing.varied_s for one in hearing if one.hearing.varied_s is not None}
        )
        metrics.sensor_skew.replace_all(
            {one.labels: skew_s for one in told if (skew_s := one.sensor.clock_skew_s) is not None}
        )
        there = {one.labels: report for one in told if (report := one.sensor.connected_report) is not None}
        ever = {one.labels: report for one in told if (report := one.sensor.report) is not None}
        metrics.sensor_waiting.replace_all({labels: float(report.waiting) for labels, report in there.items()})
        metrics.sensor_spool.replace_all({labels: report.spool for labels, report in there.items()})
        metrics.sensor_dropped.replace_all({labels: float(report.dropped) for labels, report in ever.items()})
        metrics.sensor_certificate_end.replace_all(
            {labels: report.certificate_end.timestamp() for labels, report in ever.items() if report.certificate_end}
        )
