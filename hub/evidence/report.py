"""Write an evidence report: read the stores, write tables, sound and PDF into a zip, and sign it."""

import json
import os
import platform
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Final

from hub.evidence.archive import MANIFEST, PDF, PUBLIC_KEY, SIGNATURE, SIGNED, EvidenceArchive, hash_list
from hub.evidence.clips import ClipCollector
from hub.evidence.contents import Making, Period, Report
from hub.evidence.coverage import by_reason
from hub.evidence.pdf import build_pdf
from hub.evidence.reader import EvidenceReader, Retained
from hub.evidence.signing import SigningKey
from hub.evidence.statements import CHECK
from hub.evidence.tables import event_lines, tables
from hub.store.events import EventStore
from hub.store.rows import recording
from hub.store.verdicts import VerdictStore
from shared.errors import UnavailableError
from shared.paths import printable

_LIBRARIES: Final = ("numpy", "torch", "redis", "reportlab", "cryptography")
_LINES_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """What holds for all reports of a hub.

    Attributes:
        hub: name of the hub.
        audio_dir: folder of audio files; None if the hub keeps none.
        max_clip_bytes: most bytes of the clips of a report.
        retained: how long the hub keeps data.
        networks: SHA-256 of each checkpoint, by feature space.
    """

    hub: str
    audio_dir: Path | None
    max_clip_bytes: int
    retained: Retained
    networks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Written:
    """What a report contains, as numbers, and the fingerprint of its key."""

    files: int
    size_bytes: int
    alerts: int
    gaps: int
    damaged: int
    fingerprint: str


class EvidenceReports:
    """Writes evidence reports.

    Args:
        archive: the event store.
        verdicts: those on alerts.
        rules: of the hub.
        key: signs reports.
    """

    def __init__(self, archive: EventStore, verdicts: VerdictStore, rules: EvidenceRules, key: SigningKey) -> None:
        self._archive = archive
        self._verdicts = verdicts
        self._rules = rules
        self._key = key

    def write(self, place: str, period: Period, made_at: datetime, made_by: str, output: Path) -> Written:
        """Write the report of a site or sensor, whole or not at all.

        Args:
            place: a site, or `site/sensor`.
            period: the span of time.
            made_at: the present.
            made_by: the user or program that wants it.
            output: the zip; an older file is replaced.

        Raises:
            InvalidError: the hub knows no such sensor.
            UnavailableError: the store does not answer, or the file cannot be written.
        """
        partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
        try:
            with partial.open("w+b") as file:
                with closing(EvidenceArchive(file)) as archive:
                    report = self._collect(archive, place, period, (made_at, made_by))
                    self._seal(archive, report)
                size_bytes = file.seek(0, os.SEEK_END)
                os.fsync(file.fileno())
            partial.replace(output)
        except OSError as error:
            raise UnavailableError(f"cannot write {printable(output)}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        gaps = sum(len(sensor.gaps) for sensor in report.sensors)
        return Written(
            files=len(archive.hashes),
            size_bytes=size_bytes,
            alerts=len(report.alerts),
            gaps=gaps,
            damaged=len(report.damaged),
            fingerprint=self._key.public.fingerprint,
        )

    def _collect(self, archive: EvidenceArchive, place: str, period: Period, made: tuple[datetime, str]) -> Report:
        """Read the stores, and write sound and pictures; return the contents of the report."""
        rules = self._rules
        reader = EvidenceReader(self._archive, self._verdicts, rules.retained, made[0].timestamp())
        software = {
            "earwitness-hub": version("earwitness"),
            "Python": platform.python_version(),
            "store": reader.store(),
            **{name: version(name) for name in _LIBRARIES},
        }
        making = Making(*made, rules.hub, software, rules.networks, self._key.public.fingerprint)
        with recording() as damaged:
            places = reader.places(place, damaged)
            sensors = []
            for one in places:  # the events of one sensor at a time are in memory
                sensor, events = reader.sensor(one, period, damaged)
                lines = event_lines(one, events, period)
                archive.add(f"events/{one.partition('/')[2]}.csv", _encoded(lines))
                sensors.append(sensor)
            collector = ClipCollector(self._archive, rules.audio_dir, rules.max_clip_bytes)
            alerts = collector.add(archive, reader.alerts(places, period))
        return Report(place, period, making, sensors, alerts, sorted(damaged))

    def _seal(self, archive: EvidenceArchive, report: Report) -> None:
        """Write all other files, the signature last."""
        for name, lines in tables(report).items():
            archive.add(name, _encoded(lines))
        archive.add("report.json", [summary(report)])
        archive.add("README.txt", [f"{textwrap.fill(CHECK, 100)}\n".encode()])
        archive.add(PUBLIC_KEY, [self._key.public.pem])
        manifest = hash_list(archive.hashes)
        archive.add(MANIFEST, [manifest])
        archive.add(PDF, [build_pdf(report, archive.hashes[MANIFEST])])
        signed = hash_list({name: archive.hashes[name] for name in (MANIFEST, PDF)})
        archive.add(SIGNED, [signed])
        archive.add(SIGNATURE, [self._key.sign(signed)])


def summary(report: Report) -> bytes:
    """Return what a report is about, for programs."""
    at, making = report.period.at, report.making
    document = {
        "v": 1,
        "place": report.place,
        "start": at(report.period.start_s).isoformat(),
        "end": at(report.period.end_s).isoformat(),
        "timezone": str(report.period.zone),
        "made_at": making.made_at.astimezone(report.period.zone).isoformat(timespec="seconds"),
        "made_by": making.made_by,
        "hub": making.hub,
        "software": dict(making.software),
        "networks": dict(making.networks),
        "public_key_sha256": making.fingerprint,
        "alerts": len(report.alerts),
        "damaged_rows": len(report.damaged),
        "sensors": [
            {
                "place": one.place,
                "software": one.software,
                "unit": one.minutes.unit,
                "seconds_with_levels": int(one.minutes.seconds.sum()),
                "seconds_of_the_period": report.period.end_s - report.period.start_s,
                "events": one.events,
                **{
                    f"missing_{kind}": {
                        reason: {"gaps": number, "missing_s": missing_s}
                        for reason, (number, missing_s) in by_reason(one.gaps_of(kind)).items()
                    }
                    for kind in ("levels", "events")
                },
            }
            for one in report.sensors
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    while some := "".join(islice(lines, _LINES_AT_ONCE)):
        yield some.encode()
