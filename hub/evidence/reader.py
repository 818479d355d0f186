"""Read from the stores what an evidence report contains of a sensor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.delivery_ledger import LedgerRow
from hub.domain.level_rows import HOUR_S, runs
from hub.evidence.causes import FOREVER, Cause, Kind, causes_of
from hub.evidence.contents import AlertRecord, Period, SensorRecord
from hub.evidence.coverage import Present, level_gaps
from hub.evidence.sequences import Numbered, event_gaps, received_ranges
from hub.store.client import raises_unavailable
from hub.store.day_level_queries import DayLevelQueries
from hub.store.delivery_ledger import DeliveryLedger
from hub.store.event_facts import EventFacts, EventFactsReader
from hub.store.events import EventStore
from hub.store.fitness import store_name
from hub.store.level_offsets import LevelOffsets
from hub.store.level_statistics import DAY_S, LevelStatistics
from hub.store.levels import AppliedCalibration, LevelStore
from hub.store.verdicts import VerdictStore
from shared.errors import InvalidError

_UNDERWAY_S: Final = 180
"""Time after which levels have arrived: a series of a minute is sent when the minute has ended."""


@dataclass(frozen=True, slots=True)
class Retained:
    """How long the hub keeps data, in days.

    Attributes:
        events: of events and alerts.
        statistics: of the levels of minutes and hours.
    """

    events: float
    statistics: float


class EvidenceReader:
    """Reads sensors and alerts of a period.

    Args:
        archive: whose store is read.
        verdicts: those on alerts.
        retained: how long the hub keeps data.
        now_s: the present, in seconds since 1970 UTC.
    """

    def __init__(self, archive: EventStore, verdicts: VerdictStore, retained: Retained, now_s: float) -> None:
        client, rows = archive.client, archive.rows
        self._archive = archive
        self._verdicts = verdicts
        self._retained = retained
        self._now_s = int(now_s)
        self._levels = LevelStore(client, rows)
        self._statistics = LevelStatistics(client, rows)
        self._offsets = LevelOffsets(client, rows)
        self._ledger = DeliveryLedger(client, rows)
        self._facts = EventFactsReader(client, rows)

    @raises_unavailable
    def store(self) -> str:
        """Return name and version of the store.

        Raises:
            UnavailableError: the store does not answer.
        """
        return store_name(self._archive.client.info("server"))

    def places(self, place: str, damaged: Iterable[tuple[str, str]]) -> list[str]:
        """Return the sensors of a site, or the one sensor.

        Args:
            place: a site, or `site/sensor`.
            damaged: grows with kind and key of each row that cannot be read; such a sensor is included.

        Raises:
            InvalidError: the hub knows no such sensor.
            UnavailableError: the store does not answer.
        """
        known = {sensor.place for sensor in self._archive.sensors.all()}
        known |= {key for kind, key in damaged if kind == "sensor"}
        found = sorted(one for one in known if one == place or one.startswith(f"{place}/"))
        if not found:
            raise InvalidError(f"no sensor of {place}; known: {', '.join(sorted(known)[:10]) or 'none'}")
        return found

    def sensor(
        self, place: str, period: Period, damaged: Iterable[tuple[str, str]]
    ) -> tuple[SensorRecord, list[EventFacts]]:
        """Return what the hub has of a sensor in a period, and its events.

        Args:
            place: `site/sensor`.
            period: the span of time.
            damaged: grows with kind and key of each row that cannot be read.

        Raises:
            UnavailableError: the store does not answer.
        """
        start_s, end_s = period.start_s, period.end_s
        minutes = self._statistics.table(place, start_s, end_s, "minute")
        hours_start_s, hours_end_s = start_s // HOUR_S * HOUR_S, -(-end_s // HOUR_S) * HOUR_S
        seconds = self._seconds(place, start_s, minutes.seconds)
        ledger = self._ledger.rows(place)
        events = self._facts.between(place, 1000 * start_s, 1000 * end_s)
        numbered = [_numbered(one) for one in [*events, *self._facts.around(place, 1000 * start_s, 1000 * end_s)]]
        known = self._archive.sensors.get(place)
        newest = None if known is None else known.last_captured_at or known.last_levels_at
        causes = [
            *causes_of(ledger, period.text, int(newest.timestamp()) if newest is not None else 0),
            *self._retention(),
            Cause(self._now_s - _UNDERWAY_S, FOREVER, "waiting", "what was just captured may still be on its way"),
            *_uncalibrated(minutes.uncalibrated, start_s),
            *_damaged(place, damaged),
        ]
        if known is not None and known.last_levels_at is None:
            text = "the sensor has sent no levels of seconds (levels.series)"
            causes.append(Cause(-FOREVER, FOREVER, "not-sent", text, ("levels",)))
        of_levels = level_gaps(minutes.seconds, start_s, seconds, causes)
        of_events = event_gaps(numbered, (start_s, end_s), ledger, causes, of_levels)
        queries = DayLevelQueries(self._statistics, period.zone)
        first, last = period.at(start_s).date(), (period.at(end_s) - timedelta(seconds=1)).date()
        record = SensorRecord(
            place=place,
            software=known.software if known is not None else "",
            minutes=minutes,
            hours=self._statistics.table(place, hours_start_s, hours_end_s, "hour"),
            hours_start_s=hours_start_s,
            days=queries.days([place], first, last)[place],
            calibrations=_applied(self._levels.calibrations(place, end_s), start_s),
            offsets=self._offsets.between(place, start_s, end_s),
            events=len(events),
            ranges=received_ranges([_numbered(one) for one in events]),
            gaps=[*of_levels, *of_events],
            ledger=_concerning(ledger, start_s, end_s),
        )
        return record, events

    def alerts(self, places: Sequence[str], period: Period) -> list[AlertRecord]:
        """Return the alerts of some sensors in a period with their verdicts, the oldest first.

        Raises:
            UnavailableError: the store does not answer.
        """
        since, until = period.at(period.start_s), period.at(period.end_s)
        return [
            AlertRecord(alert, verdicts=self._verdicts.history(alert.event))
            for alert in self._archive.alerts.between(since, until, places)
        ]

    def _seconds(self, place: str, start_s: int, counts: npt.NDArray[np.int64]) -> dict[int, Present]:
        """Return which seconds have levels, of the hours with incomplete minutes."""
        incomplete = np.flatnonzero((counts > 0) & (counts < 60))
        hours = sorted({(start_s + 60 * number) // HOUR_S for number in incomplete.tolist()})
        found = self._levels.hours(place, hours)
        return {hour: np.asarray(codes[:, 0] > 0) for hour, codes in zip(hours, found, strict=True)}

    def _retention(self) -> list[Cause]:
        """Return the causes of what the hub has removed by now."""
        kept: tuple[tuple[float, Kind], ...] = (
            (self._retained.events, "events"),
            (self._retained.statistics, "levels"),
        )
        return [
            Cause(
                -FOREVER,
                self._now_s - int(days * DAY_S),
                "retention",
                f"the hub keeps {kind} for {days:g} days",
                (kind,),
            )
            for days, kind in kept
        ]


def _numbered(event: EventFacts) -> Numbered:
    start_s = event.captured_ms / 1000
    return Numbered(event.id.boot, event.id.seq, start_s, start_s + event.duration_s)


def _uncalibrated(rows: Present, start_s: int) -> list[Cause]:
    """Return the causes of minutes whose levels in dBFS are left out of levels in dB."""
    text = "levels in dBFS are not comparable with levels in dB"
    return [
        Cause(start_s + 60 * first, start_s + 60 * end, "uncalibrated", text, ("levels",))
        for first, end in runs(rows)
    ]


def _damaged(place: str, left_out: Iterable[tuple[str, str]]) -> list[Cause]:
    """Return the causes of damaged rows of levels of a sensor, whose keys end with a number of an hour or a day."""
    causes = []
    for kind, key in sorted(left_out):
        of, _, number = key.rpartition(":")
        length_s = {"levels": HOUR_S, "level statistics": DAY_S}.get(kind)
        if of == place and length_s is not None and number.isdecimal():
            start_s = int(number) * length_s
            causes.append(Cause(start_s, start_s + length_s, "damaged", f"{kind} {key} cannot be read", ("levels",)))
    return causes


def _applied(calibrations: Sequence[AppliedCalibration], start_s: int) -> list[AppliedCalibration]:
    """Return the calibrations that apply from a time on: the last one before it, and later ones."""
    first = max((number for number, one in enumerate(calibrations) if one.since_s <= start_s), default=0)
    return list(calibrations[first:])


def _concerning(ledger: Sequence[LedgerRow], start_s: int, end_s: int) -> list[LedgerRow]:
    """Return the rows within a period, with the last one before it and the first one after it."""
    times = [row.at_ms // 1000 for row in ledger]
    first = max((number for number, at_s in enumerate(times) if at_s < start_s), default=0)
    last = min((number for number, at_s in enumerate(times) if at_s >= end_s), default=len(ledger))
    return list(ledger[first : last + 1])
