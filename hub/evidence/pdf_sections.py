"""The sections of the PDF of an evidence report, in order."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from reportlab.platypus import KeepTogether

from hub.domain.calibration import describe_calibration
from hub.domain.category_names import category_label
from hub.evidence.causes import WORDS
from hub.evidence.contents import AlertRecord, Report, SensorRecord
from hub.evidence.coverage import Gap, by_reason
from hub.evidence.pdf_chart import LevelChart, chart_data
from hub.evidence.pdf_style import CELL, SMALL, SUBHEADING, TITLE, heading, paragraph, table
from hub.evidence.statements import CHECK, METHOD

MOST_GAPS: Final = 150
"""Gaps of a sensor that the PDF lists, the longest; `coverage.csv` has all."""
MOST_ALERTS: Final = 500
_MOST_RUNS: Final = 100
_MOST_DAMAGED: Final = 40


def sections(report: Report, manifest_hash: str) -> Iterator[Any]:
    """Yield the flowables of the PDF.

    Args:
        report: its contents.
        manifest_hash: SHA-256 of the list of all other files.
    """
    yield from _head(report, manifest_hash)
    for sensor in report.sensors:
        yield from _levels(report, sensor)
        yield from _coverage(report, sensor)
        yield from _delivery(report, sensor)
    yield from _alerts(report)
    yield from _calibrations(report)
    yield from heading("Methods and uncertainty")
    for text in METHOD:
        yield paragraph(text, SMALL)
    yield from _versions(report)
    yield from _damaged(report)
    yield from heading("How to check this report")
    yield paragraph(CHECK, SMALL)


def _head(report: Report, manifest_hash: str) -> Iterator[Any]:
    period, making = report.period, report.making
    yield paragraph(f"Evidence report: {report.place}", TITLE)
    expected_s = (period.end_s - period.start_s) * max(1, len(report.sensors))
    valid_s = sum(int(one.minutes.seconds.sum()) for one in report.sensors)
    rows = [
        ("Period", f"{period.text(period.start_s)} to {period.text(period.end_s)} ({period.zone})"),
        ("Sensors", ", ".join(one.place for one in report.sensors)),
        ("Time with levels", f"{_share(valid_s, expected_s)} of the period: {_lasting(valid_s)}"),
        ("Gaps", f"{sum(len(one.gaps) for one in report.sensors)} gaps of levels and events, each with its reason"),
        ("Alerts", f"{len(report.alerts)}"),
        ("Damaged rows", f"{len(report.damaged)} stored rows could not be read" if report.damaged else "none"),
        (
            "Made",
            f"{making.made_at.astimezone(period.zone).isoformat(sep=' ', timespec='seconds')} by {making.made_by}",
        ),
        ("Signed with", f"Ed25519, public key with the fingerprint (SHA-256) {making.fingerprint}"),
        ("Manifest", f"SHA-256 {manifest_hash}"),
    ]
    yield table(("Report", ""), rows, (1, 5))


def _levels(report: Report, sensor: SensorRecord) -> Iterator[Any]:
    period, unit = report.period, sensor.minutes.unit
    marks = [
        one.alert.captured_at.timestamp()
        for one in report.alerts
        if f"{one.alert.site}/{one.alert.sensor}" == sensor.place
    ]
    data = chart_data(sensor, period, marks)
    each = "minute" if data.step_s == 60 else "hour"
    caption = (
        f"LAeq (black), LAFmax (grey) and L90 (dashed) of each {each} in {unit}. Hatched: no levels."
        " Triangles: alerts. Times have the zone of the report."
    )
    yield KeepTogether([*heading(f"Levels at {sensor.place}"), LevelChart(data), paragraph(caption, SMALL)])
    if unit == "dBFS":
        yield paragraph(
            "The sensor was not calibrated: levels in dBFS compare sounds at this microphone only.", SMALL
        )
    left_out = sensor.minutes.left_out
    if left_out:
        yield paragraph(f"{left_out} minutes in dBFS, before the first calibration, are left out.", SMALL)
    for one in sensor.offsets:
        way = "ahead" if one.offset_s > 0 else "behind"
        span = f"{period.text(one.since_s)} to {period.text(one.until_s)}"
        text = f"The hub corrected the times of levels from {span}: the clock was {abs(one.offset_s)} s {way}."
        yield paragraph(text, SMALL)
    rows = [
        (
            str(day.day),
            _level(day.lden),
            *(_level(part.stated) for part in (day.lday, day.levening, day.lnight)),
            _level(day.whole.lafmax),
            _share(day.whole.valid_s, day.whole.end_s - day.whole.start_s),
        )
        for day in sensor.days.days
    ]
    head = ("Day from 07:00", "Lden", "Lday", "Levening", "Lnight", "LAFmax", "Valid time")
    yield table(head, rows, (2, 1, 1, 1, 1, 1, 1))


def _coverage(report: Report, sensor: SensorRecord) -> Iterator[Any]:
    yield from heading(f"Coverage of {sensor.place}: gaps and their reasons")
    if not sensor.gaps:
        yield paragraph("No gap: levels and events cover the whole period.")
        return
    expected_s = report.period.end_s - report.period.start_s
    rows = [
        (kind, WORDS[reason], number, _lasting(missing_s), _share(missing_s, expected_s))
        for kind in ("levels", "events")
        for reason, (number, missing_s) in by_reason(sensor.gaps_of(kind)).items()
    ]
    yield table(("Missing", "Reason", "Gaps", "Time", "Of the period"), rows, (1, 3, 1, 1.2, 1.2))
    listed = sorted(sensor.gaps, key=lambda gap: -gap.missing_s)[:MOST_GAPS]
    yield from heading("Each gap", SUBHEADING)
    if len(listed) < len(sensor.gaps):
        text = f"The {MOST_GAPS} longest of {len(sensor.gaps)} gaps; coverage.csv lists all."
        yield paragraph(text, SMALL)
    listed.sort(key=lambda gap: (gap.kind != "levels", gap.start_s))
    gaps = [_gap(report, gap) for gap in listed]
    yield table(("Missing", "From", "To", "Time", "Reason", "What shows it"), gaps, (1.2, 2, 2, 1, 2, 4))


def _gap(report: Report, gap: Gap) -> Sequence[object]:
    seqs = "" if not gap.boot else f"run {gap.boot}, numbers {gap.first_seq} to {gap.last_seq}: "
    span = (report.period.text(gap.start_s), report.period.text(gap.end_s))
    return gap.kind, *span, _lasting(gap.missing_s), WORDS[gap.reason], f"{seqs}{gap.text}"


def _delivery(report: Report, sensor: SensorRecord) -> Iterator[Any]:
    runs: dict[str, list[int]] = {}
    spans: dict[str, tuple[float, float]] = {}
    for one in sensor.ranges:
        runs.setdefault(one.boot, []).append(one.last_seq - one.first_seq + 1)
        begin_s, end_s = spans.get(one.boot, (one.start_s, one.end_s))
        spans[one.boot] = (min(begin_s, one.start_s), max(end_s, one.end_s))
    if not runs:
        return
    yield from heading(f"Delivery ledger of {sensor.place}: numbered events by run", SUBHEADING)
    rows = []
    for boot, counts in list(runs.items())[:_MOST_RUNS]:
        numbers = [(one.first_seq, one.last_seq) for one in sensor.ranges if one.boot == boot]
        lost = sum((gap.last_seq or 0) - (gap.first_seq or 0) + 1 for gap in sensor.gaps if gap.boot == boot)
        span = tuple(report.period.text(at_s) for at_s in spans[boot])
        rows.append((boot, *span, f"{min(numbers)[0]} to {max(numbers)[1]}", sum(counts), lost))
    yield table(("Run", "First", "Last", "Numbers", "Received", "Missing"), rows, (2.4, 2, 2, 1.6, 1, 1))
    if len(runs) > _MOST_RUNS:
        yield paragraph(f"{_MOST_RUNS} of {len(runs)} runs; sequences.csv lists all.", SMALL)


def _alerts(report: Report) -> Iterator[Any]:
    yield from heading("Alerts")
    if not report.alerts:
        yield paragraph("No alert in this period.")
        return
    rows = [_alert(report, one) for one in report.alerts[:MOST_ALERTS]]
    head = (
        "Time",
        "Sensor",
        "Category (probability)",
        "LAeq",
        "LAFmax",
        "Same kind as past sound",
        "Verdicts, sound",
    )
    yield table(head, rows, (2, 1.6, 2, 1.1, 1.1, 2.4, 2.6))
    if len(report.alerts) > MOST_ALERTS:
        yield paragraph(f"The first {MOST_ALERTS} of {len(report.alerts)} alerts; alerts.csv lists all.", SMALL)


def _alert(report: Report, record: AlertRecord) -> Sequence[object]:
    one = record.alert
    named = [f"{category_label(name)} ({one.presence.get(name, 0.0):.0%})" for name in one.categories]
    if one.name:
        named.insert(0, one.name)
    match = f"{len(one.matches)} past event{'s' if len(one.matches) != 1 else ''}"
    if one.watched:
        match = f"watched sound returned; {match}"
    elif one.match_probability is not None:
        threshold = f", threshold {one.threshold:.0%}" if one.threshold is not None else ""
        match = f"{one.match_probability:.0%} likely{threshold}; {match}"
    verdicts = [
        f"{verdict.verdict} ({verdict.author or 'unnamed'}, {report.period.text(verdict.at.timestamp())})"
        for verdict in record.verdicts
    ]
    sound = [record.clip_note] if record.clip_note else [] if not record.clip else ["sound in the zip"]
    return (
        report.period.text(one.captured_at.timestamp()),
        f"{one.site}/{one.sensor}",
        "; ".join(named) or "none",
        f"{_level(one.laeq)} {one.level_unit}",
        f"{_level(one.lafmax)} {one.level_unit}",
        f"{match}; {describe_calibration(one.level_unit, one.calibration_age_days)}",
        "; ".join([*verdicts, *sound]),
    )


def _calibrations(report: Report) -> Iterator[Any]:
    yield from heading("Calibration")
    rows = [
        (sensor.place, one.id, _made_at(one.at, report), report.period.text(one.since_s))
        for sensor in report.sensors
        for one in sensor.calibrations
    ]
    if rows:
        yield table(("Sensor", "Calibration", "Made at", "Applies to levels from"), rows, (2, 2, 2.4, 2.4))
    without = [sensor.place for sensor in report.sensors if not sensor.calibrations]
    if without:
        yield paragraph(f"No calibration is known of {', '.join(without)}.")
    text = (
        "The history on the sensor has serial numbers, drift and measured levels (earwitness-edge calibrate --list):"
        " add it."
    )
    yield paragraph(text, SMALL)


def _made_at(text: str, report: Report) -> str:
    """Return the time of a calibration in the zone of the report; as it is stored if it is no time."""
    try:
        return report.period.text(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return text


def _versions(report: Report) -> Iterator[Any]:
    yield from heading("Versions")
    making = report.making
    networks = sorted({one.network for one in report.alerts if one.network})
    rows = [
        *making.software.items(),
        *((f"sensor {one.place}", one.software or "unknown") for one in report.sensors),
        *((f"network for {space}", f"SHA-256 {digest}") for space, digest in making.networks.items()),
        *(("network that compared alerts", f"fingerprint {one}") for one in networks),
    ]
    yield table(("Program, library, model", "Version"), rows, (2, 4))


def _damaged(report: Report) -> Iterator[Any]:
    if not report.damaged:
        return
    yield from heading("Stored rows that could not be read")
    names = [f"{kind} {key}" for kind, key in report.damaged[:_MOST_DAMAGED]]
    more = len(report.damaged) - len(names)
    text = "; ".join(names) + (f"; and {more} more, see damaged-rows.csv" if more else "")
    yield paragraph(f"They are damaged, or of another version, and are left out of this report: {text}.", CELL)


def _level(level: float | None) -> str:
    return "-" if level is None else f"{level:.1f}".replace("-", "\N{MINUS SIGN}")


def _share(part_s: float, whole_s: float) -> str:
    """Return a share in per cent, rounded down, so that 100 % means all."""
    return f"{int(1000 * part_s / whole_s) / 10:.1f} %" if whole_s else "-"


def _lasting(seconds: int) -> str:
    """Return a duration exactly."""
    hours, rest = divmod(seconds, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
