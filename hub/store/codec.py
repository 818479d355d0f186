"""Events and sensors as the fields of Redis hashes.

Fields have names, so the rules of `hub.store.json_rows` hold: `v` is the version, and unknown fields are ignored.
"""

from collections.abc import Sequence
from typing import Final, get_args

import numpy as np
from pydantic import TypeAdapter

from hub.domain.records import (
    ClockReading,
    Sensor,
    StoredEmbeddings,
    StoredEvent,
    StoredReport,
    from_ms,
    to_ms,
)
from hub.store.json_rows import VERSION
from hub.store.level_details import level_fields
from shared.errors import InvalidError
from shared.events import Calibration, ClockStatus, EventId, Levels
from shared.feature_space import get_space
from shared.messages.sensor import SensorHealth, SensorReport, ShedRange
from shared.taxonomy import CATEGORIES

FIELDS: Final = (
    "site",
    "captured_ms",
    "received_ms",
    "duration_s",
    "laeq",
    "lafmax",
    "level_unit",
    "space",
    "features",
    "presence",
    "clip",
    "towers",
    "claimed_ms",
    "clock",
    "backfilled",
    "rate_hz",
    "calibration",
    "calibrated_ms",
    "backlog",
    "sealed_to",
)
"""Fields of an event's hash, in the order of `from_redis_hash`; an event may lack those from `towers` on."""
_NEEDED: Final = FIELDS.index("towers")
_CLOCKS: Final[tuple[ClockStatus, ...]] = get_args(ClockStatus)
_SHED: Final = TypeAdapter(tuple[ShedRange, ...])


def to_redis_hash(event: StoredEvent) -> dict[str, str | bytes]:
    """Return an event as the fields of its hash."""
    fields: dict[str, str | bytes] = {
        "v": str(VERSION),
        "site": event.site,
        "captured_ms": str(to_ms(event.captured_at)),
        "received_ms": str(to_ms(event.received_at)),
        "duration_s": repr(event.duration_s),
        "laeq": repr(event.levels.laeq),
        "lafmax": repr(event.levels.lafmax),
        "level_unit": event.levels.unit,
        "space": event.space,
        "features": event.features.tobytes(),
        "presence": np.asarray(event.presence, dtype="<f4").tobytes(),
        "clip": event.clip,
        "towers": b"" if event.towers is None else _packed(event.towers),
        "clock": event.clock,
        "backfilled": str(int(event.backfilled)),
        "rate_hz": str(event.rate_hz),
    }
    if event.claimed_at is not None:
        fields["claimed_ms"] = str(to_ms(event.claimed_at))
    if event.calibration is not None:
        fields["calibration"] = event.calibration.id
        fields["calibrated_ms"] = str(to_ms(event.calibration.at))
    if event.levels.details is not None:
        fields |= level_fields(event.levels.details)
    if event.backlog:
        fields["backlog"] = "1"
    if event.sealed_to:
        fields["sealed_to"] = " ".join(event.sealed_to)
    return fields


def from_redis_hash(key: str, row: Sequence[bytes | None]) -> StoredEvent | None:
    """Return an event from its id and the values of `FIELDS`; None if it does not exist.

    Raises:
        InvalidError: the hash lacks a field, or names a feature space that this hub does not know.
        ValueError: a field holds something else.
    """
    if row[0] is None:
        return None
    needed, rest = row[:_NEEDED], row[_NEEDED:]
    towers, claimed, clock, backfilled, rate, calibration, calibrated, backlog, sealed_to = rest
    values = [value for value in needed if value is not None]
    if len(values) != len(needed):
        raise InvalidError(f"event {key} is archived without {FIELDS[needed.index(None)]}")
    _, captured, received, duration, laeq, lafmax, unit, space_id, features, presence, clip = values
    space = get_space(space_id.decode())
    if len(presence) != 4 * len(CATEGORIES):
        raise InvalidError(f"event {key} is archived with a presence of {len(presence)} bytes")
    return StoredEvent(
        id=EventId.parse(key),
        captured_at=from_ms(captured),
        received_at=from_ms(received),
        duration_s=float(duration),
        levels=Levels(float(laeq), float(lafmax), "dB" if unit == b"dB" else "dBFS"),
        space=space.id,
        features=np.frombuffer(features, dtype=np.uint8).reshape(space.shape),
        presence=tuple(np.frombuffer(presence, dtype="<f4").tolist()),
        clip=clip.decode(),
        towers=_unpacked(towers) if towers else None,
        claimed_at=from_ms(claimed) if claimed else None,
        clock=next((one for one in _CLOCKS if clock == one.encode()), "unknown"),
        backfilled=backfilled == b"1",
        rate_hz=int(rate or 0),
        calibration=Calibration(calibration.decode(), from_ms(calibrated)) if calibration and calibrated else None,
        backlog=backlog == b"1",
        sealed_to=tuple((sealed_to or b"").decode().split()),
    )


def _packed(towers: StoredEmbeddings) -> bytes:
    """Return `network:values`, and with an identity `network/length:values identity`, its length in bytes."""
    length = f"/{towers.identity.size}" if towers.identity.size else ""
    return f"{towers.network}{length}:".encode() + towers.values.astype("<f2").tobytes() + towers.identity.tobytes()


def _unpacked(value: bytes) -> StoredEmbeddings | None:
    """Return None if the value is something else: towers can be computed again."""
    head, _, values = value.partition(b":")
    network, _, length = head.partition(b"/")
    try:
        end = len(values) - int(length or 0)
        identity = np.frombuffer(values[end:], dtype=np.int8)
        return StoredEmbeddings(network.decode(), np.frombuffer(values[:end], dtype="<f2"), identity)
    except ValueError:
        return None


def sensor_from_hash(place: str, row: dict[bytes, bytes]) -> Sensor:
    """Return a sensor from its hash, without its report.

    Raises:
        ValueError: a field holds something else.
    """
    captured, received = row.get(b"last_captured_ms"), row.get(b"last_received_ms")
    return Sensor(
        place=place,
        events=int(row.get(b"events", b"0")),
        last_event=row.get(b"last_event", b"").decode(),
        last_captured_at=from_ms(captured) if captured else None,
        last_received_at=from_ms(received) if received else None,
        state=row.get(b"state", b"unknown").decode(),
        boot=row.get(b"boot", b"").decode(),
        last_claimed_at=from_ms(claimed) if (claimed := row.get(b"last_claimed_ms")) else None,
        last_levels_at=from_ms(levels) if (levels := row.get(b"last_levels_ms")) else None,
        clock=_clock_of(row),
        software=row.get(b"software", b"").decode(errors="replace"),
    )


def _clock_of(row: dict[bytes, bytes]) -> ClockReading | None:
    skew = row.get(b"clock_skew_s")
    return None if skew is None else ClockReading(row.get(b"clock_boot", b"").decode(), float(skew))


def report_fields(report: SensorReport) -> dict[str, str | int | float]:
    """Return a report as fields of its sensor's hash."""
    end = report.certificate_end
    return {
        "v": VERSION,
        "reported_ms": to_ms(report.at),
        "waiting": report.waiting,
        "spool": report.spool,
        "dropped": report.dropped,
        "certificate_end_ms": to_ms(end) if end is not None else "",
        "set_aside": report.set_aside,
        "spool_lost": report.spool_lost,
        "taken_over": report.taken_over,
        "source_failure": report.source_failure or "",
        "health": "" if report.health is None else report.health.model_dump_json(),
        "shed": _SHED.dump_json(report.shed).decode(),
        "capture_gap_s": "" if report.capture_gap_s is None else report.capture_gap_s,
    }


def report_of(row: dict[bytes, bytes]) -> StoredReport | None:
    """Return a sensor's last report from its hash; None if it never sent one.

    Raises:
        KeyError: a field is missing.
        ValueError: a field holds what no message may.
    """
    if b"reported_ms" not in row:
        return None
    end = row[b"certificate_end_ms"]
    report = SensorReport(
        at=from_ms(row[b"reported_ms"]),
        waiting=int(row[b"waiting"]),
        spool=float(row[b"spool"]),
        dropped=int(row[b"dropped"]),
        certificate_end=from_ms(end) if end else None,
        set_aside=int(row.get(b"set_aside", 0)),
        spool_lost=int(row.get(b"spool_lost", 0)),
        taken_over=int(row.get(b"taken_over", 0)),
        source_failure=row.get(b"source_failure", b"").decode(),
        health=SensorHealth.model_validate_json(health) if (health := row.get(b"health")) else None,
        shed=_SHED.validate_json(row.get(b"shed") or b"[]"),
        capture_gap_s=float(gap) if (gap := row.get(b"capture_gap_s")) else None,
    )
    return StoredReport(
        at=report.at,
        waiting=report.waiting,
        spool=report.spool,
        dropped=report.dropped,
        certificate_end=report.certificate_end,
        set_aside=report.set_aside,
        spool_lost=report.spool_lost,
        taken_over=report.taken_over,
        source_failure=report.source_failure or "",
        health=report.health,
        shed=report.shed,
        capture_gap_s=report.capture_gap_s,
    )
