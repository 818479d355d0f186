"""The state of sensors as they announced it, their clocks, and their newest events."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from hub.domain.records import ClockReading, Sensor, to_ms
from hub.domain.sensor_edits import SensorEdits
from hub.store import delivery_ledger, keys
from hub.store.client import raises_unavailable
from hub.store.codec import report_fields, report_of, sensor_from_hash
from hub.store.json_rows import encode
from hub.store.rows import Rows
from hub.store.sensor_signals import numbers_fields
from shared.messages.sensor import StateMessage

_EDITS: Final = b"edits"


class SensorStore:
    """Sensors in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def update_state(self, state: StateMessage, skew_s: float | None = None, at: datetime | None = None) -> bool:
        """Keep a sensor's announced state, and enter it into its ledger; a late `lost` of an earlier boot is ignored.

        Args:
            state: as announced.
            skew_s: how far the sensor's clock was ahead of this hub's at the report, in seconds; None if unknown.
            at: when the broker got it; the present if not given.

        Returns:
            Whether the state was kept.
        """
        place = f"{state.site}/{state.sensor}"
        names = ("boot", "highest_seq")
        *stored, ledger = self._redis.hmget(keys.sensor(place), *names, delivery_ledger.FIELD)
        values = zip(names, stored, strict=True)
        known = {name: value.decode() for name, value in values if value is not None}
        if state.state == "lost" and known.get("boot", state.boot) != state.boot:
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(keys.SENSORS, place)
            reported = report_fields(state.report) if state.report is not None else {}
            measured = {} if skew_s is None else {"clock_skew_s": round(skew_s, 3), "clock_boot": state.boot}
            announced = {"state": state.state, "boot": state.boot, "software": state.software}
            fields = {**announced, **reported, **measured, **numbers_fields(state, known)}
            pipe.hset(keys.sensor(place), mapping=fields)
            end = self._rows.read("ledger", place, delivery_ledger.end_of, ledger)
            delivery_ledger.queue(pipe, state, to_ms(at or datetime.now(UTC)), skew_s, end)
            pipe.execute()
        return True

    @raises_unavailable
    def clocks(self, places: Sequence[str]) -> dict[str, ClockReading]:
        """Return the clocks of some sensors by place; those that were not measured are missing."""
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hmget(keys.sensor(place), "clock_boot", "clock_skew_s")
        rows = zip(places, pipe.execute(), strict=True)
        return {
            place: ClockReading(boot.decode(), float(skew))
            for place, (boot, skew) in rows
            if None not in {boot, skew}
        }

    @raises_unavailable
    def newest_events(self, places: Sequence[str]) -> list[datetime | None]:
        """Return when the newest event of each of some sensors was captured; None where there is none."""
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.zrevrange(keys.events_of(place), 0, 0, withscores=True)
        return [datetime.fromtimestamp(rows[0][1] / 1000, UTC) if rows else None for rows in pipe.execute()]

    @raises_unavailable
    def all(self) -> list[Sensor]:
        """Return all sensors that ever sent a message, by name."""
        places = sorted(name.decode() for name in self._redis.smembers(keys.SENSORS))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(keys.sensor(place))
        read = (self.from_row(place, row) for place, row in zip(places, pipe.execute(), strict=True))
        return [sensor for sensor in read if sensor is not None]

    @raises_unavailable
    def get(self, place: str) -> Sensor | None:
        """Return a sensor; None if it never sent a message or cannot be read."""
        row = self._redis.hgetall(keys.sensor(place))
        return self.from_row(place, row) if row else None

    def from_row(self, place: str, row: dict[bytes, bytes]) -> Sensor | None:
        """Return a sensor from its hash, without a report that cannot be read; None if nothing can be read."""
        sensor = self._rows.read("sensor", place, partial(sensor_from_hash, place), row)
        if sensor is None:
            return None
        edits = self._rows.read("sensor edits", place, SensorEdits.model_validate_json, row.get(_EDITS))
        report = self._rows.read("report", place, report_of, row)
        return replace(sensor, report=report, edits=edits or SensorEdits())

    @raises_unavailable
    def edit(self, place: str, edits: SensorEdits) -> None:
        """Keep what an operator set about a sensor."""
        self._redis.hset(keys.sensor(place), _EDITS, encode(edits.model_dump()))

    @raises_unavailable
    def muted(self, places: Iterable[str]) -> set[str]:
        """Return those of some sensors that raise no alert."""
        asked = sorted(set(places))
        pipe = self._redis.pipeline(transaction=False)
        for place in asked:
            pipe.hget(keys.sensor(place), _EDITS)
        read = (
            self._rows.read("sensor edits", place, SensorEdits.model_validate_json, row)
            for place, row in zip(asked, pipe.execute(), strict=True)
        )
        return {place for place, edits in zip(asked, read, strict=True) if edits is not None and edits.muted}
