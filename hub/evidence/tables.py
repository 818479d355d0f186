"""The CSV tables of an evidence report. No I/O.

Times have the offset of the zone of the report (RFC 3339). A level that is missing is an empty cell.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from hub.domain.csv_rows import Row, csv_lines
from hub.domain.day_levels import PeriodLevel
from hub.domain.level_rows import HOUR_S, STATISTICS, LevelTable
from hub.evidence.causes import WORDS
from hub.evidence.contents import MINUTE_S, Period, Report
from hub.store.event_facts import EventFacts
from shared.taxonomy import CATEGORIES

_LEVELS: Final = ("place", "at", "unit", *STATISTICS, "seconds")
_DAYS: Final = (
    "place",
    "day",
    "start",
    "end",
    "unit",
    "lden",
    *(f"{name}{part}" for name in ("lday", "levening", "lnight", "whole") for part in ("", "_lafmax", "_seconds")),
)
_EVENTS: Final = (
    "place",
    "id",
    "boot",
    "seq",
    "captured_at",
    "received_at",
    "claimed_at",
    "duration_s",
    "laeq",
    "lafmax",
    "unit",
    "calibration",
    "clock",
    "sound",
    *CATEGORIES,
)
_ALERTS: Final = (
    "event",
    "place",
    "captured_at",
    "categories",
    "presence",
    "severity",
    "laeq",
    "lafmax",
    "unit",
    "above_ambient_db",
    "calibration",
    "calibration_age_days",
    "match_probability",
    "threshold",
    "matches",
    "name",
    "network",
    "clip",
    "clip_note",
    "spectrogram",
)
_VERDICTS: Final = ("alert", "match", "at", "author", "verdict", "categories", "note")
_COVERAGE: Final = (
    "place",
    "kind",
    "start",
    "end",
    "missing_s",
    "reason",
    "reason_in_words",
    "evidence",
    "boot",
    "first_seq",
    "last_seq",
)
_SEQUENCES: Final = ("place", "boot", "first_seq", "last_seq", "received", "start", "end")
_LEDGER: Final = (
    "place",
    "at",
    "since",
    "state",
    "boot",
    "software",
    "sends",
    "first_seq",
    "last_seq",
    "previous_boot",
    "previous_seq",
    "waiting",
    "capture_gap_s",
    "source_failure",
    "dropped",
    "over_budget",
    "spool_lost",
    "set_aside",
    "clock_ahead_s",
    "shed",
)
_CALIBRATIONS: Final = ("place", "id", "made_at", "applies_since")
_OFFSETS: Final = ("place", "boot", "clock_ahead_s", "since", "until")
_DAMAGED: Final = ("kind", "key")


def tables(report: Report) -> dict[str, Iterator[str]]:
    """Return the lines of each table by the name of its file."""
    rows = {
        "levels-minutes.csv": (_LEVELS, _minutes(report)),
        "levels-hours.csv": (_LEVELS, _hours(report)),
        "levels-days.csv": (_DAYS, _days(report)),
        "alerts.csv": (_ALERTS, _alerts(report)),
        "verdicts.csv": (_VERDICTS, _verdicts(report)),
        "coverage.csv": (_COVERAGE, _coverage(report)),
        "sequences.csv": (_SEQUENCES, _sequences(report)),
        "ledger.csv": (_LEDGER, _ledger(report)),
        "calibrations.csv": (_CALIBRATIONS, _calibrations(report)),
        "clock-corrections.csv": (_OFFSETS, _offsets(report)),
        "damaged-rows.csv": (_DAMAGED, ({"kind": kind, "key": key} for kind, key in report.damaged)),
    }
    return {name: csv_lines(*own) for name, own in rows.items()}


def event_lines(place: str, events: Iterable[EventFacts], period: Period) -> Iterator[str]:
    """Yield the lines of the table of the events of a sensor."""
    return csv_lines(_EVENTS, (_event(place, one, period) for one in events))


def _level_rows(place: str, table: LevelTable, start_s: int, period_s: int, period: Period) -> Iterator[Row]:
    """Yield the rows of a table of levels."""
    for number, (levels, seconds) in enumerate(zip(table.levels.tolist(), table.seconds.tolist(), strict=True)):
        values = {
            name: None if math.isnan(level) else round(level, 1)
            for name, level in zip(STATISTICS, levels, strict=True)
        }
        at = period.at(start_s + number * period_s).isoformat()
        yield {"place": place, "at": at, "unit": table.unit, **values, "seconds": seconds}


def _minutes(report: Report) -> Iterator[Row]:
    for one in report.sensors:
        yield from _level_rows(one.place, one.minutes, report.period.start_s, MINUTE_S, report.period)


def _hours(report: Report) -> Iterator[Row]:
    for one in report.sensors:
        yield from _level_rows(one.place, one.hours, one.hours_start_s, HOUR_S, report.period)


def _days(report: Report) -> Iterator[Row]:
    at = report.period.at
    for one in report.sensors:
        for day in one.days.days:
            start, end = at(day.whole.start_s).isoformat(), at(day.whole.end_s).isoformat()
            parts = {"lday": day.lday, "levening": day.levening, "lnight": day.lnight, "whole": day.whole}
            values = {key: value for name, part in parts.items() for key, value in _part(name, part).items()}
            head = {"place": one.place, "day": str(day.day), "start": start, "end": end, "unit": one.days.unit}
            yield {**head, "lden": _rounded(day.lden), **values}


def _part(name: str, part: PeriodLevel) -> dict[str, float | int | None]:
    return {
        name: _rounded(part.stated),
        f"{name}_lafmax": _rounded(part.lafmax),
        f"{name}_seconds": part.valid_s,
    }


def _event(place: str, one: EventFacts, period: Period) -> Row:
    return {
        "place": place,
        "id": str(one.id),
        "boot": one.id.boot,
        "seq": one.id.seq,
        "captured_at": _ms(one.captured_ms, period),
        "received_at": _ms(one.received_ms, period),
        "claimed_at": None if one.claimed_ms is None else _ms(one.claimed_ms, period),
        "duration_s": one.duration_s,
        "laeq": round(one.laeq, 2),
        "lafmax": round(one.lafmax, 2),
        "unit": one.unit,
        "calibration": one.calibration,
        "clock": one.clock,
        "sound": one.sound,
        **{name: round(probability, 4) for name, probability in zip(CATEGORIES, one.presence, strict=True)},
    }


def _alerts(report: Report) -> Iterator[Row]:
    for record in report.alerts:
        one = record.alert
        yield {
            **one.model_dump(mode="json"),
            "place": f"{one.site}/{one.sensor}",
            "captured_at": one.captured_at.astimezone(report.period.zone).isoformat(),
            "unit": one.level_unit,
            "presence": [f"{name} {one.presence[name]:.4f}" for name in one.categories if name in one.presence],
            "matches": [match.event for match in one.matches],
            "network": record.network,
            "clip": record.clip,
            "clip_note": record.clip_note,
            "spectrogram": record.spectrogram,
        }


def _verdicts(report: Report) -> Iterator[Row]:
    for record in report.alerts:
        for verdict in record.verdicts:
            at = verdict.at.astimezone(report.period.zone).isoformat()
            yield {**verdict.model_dump(mode="json"), "at": at}


def _coverage(report: Report) -> Iterator[Row]:
    at = report.period.at
    for sensor in report.sensors:
        for gap in sensor.gaps:
            yield {
                "place": sensor.place,
                "kind": gap.kind,
                "start": at(gap.start_s).isoformat(),
                "end": at(gap.end_s).isoformat(),
                "missing_s": gap.missing_s,
                "reason": gap.reason,
                "reason_in_words": WORDS[gap.reason],
                "evidence": gap.text,
                "boot": gap.boot,
                "first_seq": gap.first_seq,
                "last_seq": gap.last_seq,
            }


def _sequences(report: Report) -> Iterator[Row]:
    for sensor in report.sensors:
        for one in sensor.ranges:
            yield {
                "place": sensor.place,
                "boot": one.boot,
                "first_seq": one.first_seq,
                "last_seq": one.last_seq,
                "received": one.last_seq - one.first_seq + 1,
                "start": _ms(round(1000 * one.start_s), report.period),
                "end": _ms(round(1000 * one.end_s), report.period),
            }


def _ledger(report: Report) -> Iterator[Row]:
    for sensor in report.sensors:
        for row in sensor.ledger:
            yield {
                **{name: getattr(row, name, None) for name in _LEDGER},
                "place": sensor.place,
                "at": _ms(row.at_ms, report.period),
                "since": _ms(row.since_ms, report.period),
                "sends": row.form,
                "source_failure": row.failure,
                "clock_ahead_s": row.skew_s,
                "shed": [f"{boot} {first} to {last} {what} {why}" for boot, what, why, first, last, _ in row.shed],
            }


def _calibrations(report: Report) -> Iterator[Row]:
    for sensor in report.sensors:
        for one in sensor.calibrations:
            since = report.period.at(one.since_s).isoformat()
            yield {"place": sensor.place, "id": one.id, "made_at": one.at, "applies_since": since}


def _offsets(report: Report) -> Iterator[Row]:
    at = report.period.at
    for sensor in report.sensors:
        for one in sensor.offsets:
            yield {
                "place": sensor.place,
                "boot": one.boot,
                "clock_ahead_s": one.offset_s,
                "since": at(one.since_s).isoformat(),
                "until": at(one.until_s).isoformat(),
            }


def _ms(at_ms: int, period: Period) -> str:
    return period.at(at_ms / 1000).isoformat(timespec="milliseconds")


def _rounded(level: float | None) -> float | None:
    return None if level is None else round(level, 1)
