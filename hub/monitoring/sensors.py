"""Probe of the sensors: status, missing events, microphone signal, and reports.

The hub knows the sensors that announced themselves or whose events it archived. It exports metrics of a limited
number of them, the first by name, so that a sensor that stops sending stays included. It exports measured values only
while a sensor is online, so that a dead sensor does not keep its last level, and drops all metrics of a sensor that
has been offline for `forget_s`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hub.domain.records import Sensor
from hub.domain.sensor_status import SensorStatus, sensor_status
from hub.metrics.definitions import HubMetrics
from hub.metrics.sensor_definitions import STATES
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.events import EventStore
from hub.store.sensor_signals import NOTHING, SignalStats, parse_signal_stats
from shared.messages.fields import CONTENTS

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SensorReading:
    """The current state of a sensor."""

    sensor: Sensor
    signal: SignalStats
    condition: SensorStatus

    @property
    def labels(self) -> tuple[str, str]:
        """Site and name of the sensor."""
        site, _, name = self.sensor.place.partition("/")
        return site, name

    @property
    def last_event_at(self) -> datetime:
        """Time at which the last event was received; 1970 if there was none."""
        return self.sensor.last_received_at or _LONG_AGO


def select_exported(
    readings: Sequence[SensorReading], now: datetime, *, most: int, forget_s: float
) -> list[SensorReading]:
    """Return the sensors to export: those with an event or levels within `forget_s`, the first `most` by name.

    A sensor without either is included while its state is `ready`.
    """
    recent = [
        one
        for one in readings
        if (now - (one.sensor.last_message_at or _LONG_AGO)).total_seconds() < forget_s
        or (one.sensor.last_message_at is None and one.sensor.state == "ready")
    ]
    return sorted(recent, key=lambda one: one.sensor.place)[:most]


class SensorProbe:
    """Reads the sensors from Redis and exports their metrics.

    Args:
        archive: the event store.
        metrics: the hub's metrics.
        most: maximum number of sensors with their own metrics.
        forget_s: time without events after which a sensor has no metrics, in seconds.
    """

    def __init__(self, archive: EventStore, metrics: HubMetrics, *, most: int, forget_s: float) -> None:
        self._archive = archive
        self._redis = archive.client
        self._metrics = metrics
        self._most = most
        self._forget_s = forget_s

    def run(self, now: datetime) -> None:
        """Export the metrics of all sensors.

        Raises:
            UnavailableError: Redis does not answer.
        """
        readings = self._read(now)
        exported = select_exported(readings, now, most=self._most, forget_s=self._forget_s)
        self._metrics.store_sensors.set(len(readings))
        known = select_exported(readings, now, most=len(readings), forget_s=self._forget_s)
        self._metrics.sensors_left_out.set(len(known) - len(exported))
        self._export(exported)

    def on_store_unavailable(self) -> None:
        """Drop the metrics of all sensors."""
        self._export([])

    @raises_unavailable
    def _read(self, now: datetime) -> list[SensorReading]:
        places = sorted(name.decode() for name in self._redis.smembers(keys.SENSORS))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(keys.sensor(place))
        readings = []
        for place, row in zip(places, pipe.execute(), strict=True):
            sensor = self._archive.sensors.from_row(place, row) if row else None
            if sensor is not None and not sensor.edits.retired:
                signal = self._archive.rows.read("signal", place, parse_signal_stats, row) or NOTHING
                readings.append(SensorReading(sensor, signal, sensor_status(sensor, now)))
        return readings

    def _export(self, readings: Sequence[SensorReading]) -> None:
        metrics = self._metrics
        seen = [one for one in readings if one.sensor.last_received_at is not None]
        online = [one for one in seen if one.condition.is_ok]
        metrics.sensor_state.replace_all(
            {(*one.labels, state): float(one.condition.word == state) for one in readings for state in STATES}
        )
        metrics.sensor_last_event.replace_all({one.labels: one.last_event_at.timestamp() for one in seen})
        metrics.sensor_events.replace_all({one.labels: float(one.sensor.events) for one in seen})
        metrics.sensor_missing.replace_all({one.labels: float(one.signal.missing) for one in seen})
        metrics.sensor_delay.replace_all(
            {one.labels: one.condition.delay.total_seconds() for one in online if one.condition.delay is not None}
        )
        metrics.sensor_level.replace_all(
            {(*one.labels, one.signal.unit): one.signal.level for one in online if one.signal.level is not None}
        )
        metrics.sensor_sound.replace_all(
            {one.labels: one.signal.sound_s for one in online if one.signal.sound_s is not None}
        )
        metrics.sensor_varied.replace_all(
            {one.labels: one.signal.varied_s for one in online if one.signal.varied_s is not None}
        )
        metrics.sensor_skew.replace_all(
            {one.labels: skew_s for one in readings if (skew_s := one.sensor.clock_skew_s) is not None}
        )
        connected = {one.labels: report for one in readings if (report := one.sensor.connected_report) is not None}
        last = {one.labels: report for one in readings if (report := one.sensor.report) is not None}
        metrics.sensor_waiting.replace_all({labels: float(report.waiting) for labels, report in connected.items()})
        metrics.sensor_spool.replace_all({labels: report.spool for labels, report in connected.items()})
        metrics.sensor_dropped.replace_all({labels: float(report.dropped) for labels, report in last.items()})
        metrics.sensor_capture_gap.replace_all(
            {labels: gap_s for labels, report in last.items() if (gap_s := report.capture_gap_s) is not None}
        )
        metrics.sensor_shed.replace_all(
            {
                (*labels, content): float(sum(shed.events for shed in report.shed if shed.content == content))
                for labels, report in last.items()
                for content in CONTENTS
            }
        )
        metrics.sensor_certificate_end.replace_all(
            {labels: report.certificate_end.timestamp() for labels, report in last.items() if report.certificate_end}
        )
