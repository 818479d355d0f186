"""The sensor's state message, with a report of its spool and faults."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, Literal

from edge.capture_stats import CaptureStats
from edge.clock import elapsed_s
from edge.publisher import SpoolPublisher
from edge.settings import EdgeSettings
from edge.sources import Source
from edge.spool import Spool
from edge.system_health import SystemHealth
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId
from shared.extractor import FeatureExtractor
from shared.messages.codec import decode_json
from shared.messages.sensor import SensorReport, ShedRange, StateMessage
from shared.paths import printable

REASON_CHARACTERS: Final = 200
"""Maximum length of the reason of a failing source in a report."""


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running agent that a report reads.

    Attributes:
        tally: counters of the capture thread.
        spool: the spool.
        publisher: the publisher from the spool to the broker.
        health: health of this machine; None reports none.
    """

    tally: CaptureStats
    spool: Spool
    publisher: SpoolPublisher
    health: SystemHealth | None = None


class Announcer:
    """Build the state messages of one run of a sensor.

    Args:
        settings: settings of this sensor.
        boot: id of this run.
        form: payload format of its events.
        certificate_end: end of its certificate's validity; None without one.
        previous: id of the latest event of the previous run, if the spool has it.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        boot: str,
        *,
        form: str,
        certificate_end: datetime | None,
        previous: EventId | None,
    ) -> None:
        self._settings = settings
        self._boot = boot
        self._form = form
        self._since = datetime.now(UTC)
        self._certificate_end = certificate_end
        self._previous = previous

    def state(self, state: Literal["ready", "disconnected", "lost"], running: Running | None = None) -> StateMessage:
        """Return the sensor's state message, with a report if `running` is given."""
        return StateMessage(
            site=self._settings.sensor.site,
            sensor=self._settings.sensor.name,
            boot=self._boot,
            state=state,
            source=self._settings.source.kind,
            payload_format=self._form,
            software=f"earwitness-edge {version('earwitness')}",
            started_at=self._since,
            report=None if running is None else self._report(running),
        )

    def _report(self, running: Running) -> SensorReport:
        fill, tally = running.spool.usage(), running.tally
        numbered = tally.highest_seq >= 0
        return SensorReport(
            at=datetime.now(UTC),
            waiting=max(0, fill.pending),
            spool=min(1.0, fill.size_bytes / fill.max_bytes),
            dropped=tally.dropped,
            certificate_end=self._certificate_end,
            first_seq=0 if numbered else None,
            highest_seq=tally.highest_seq if numbered else None,
            previous_boot=self._previous.boot if self._previous else None,
            previous_seq=self._previous.seq if self._previous else None,
            set_aside=fill.aside,
            spool_lost=fill.lost,
            taken_over=running.publisher.taken_over,
            health=None if running.health is None else running.health.read(),
            source_failure=printable(tally.failure)[:REASON_CHARACTERS] or None,
            sound_over_budget=tally.sound_over_budget,
            features_over_budget=tally.features_over_budget,
            speech_removed_s=tally.speech_removed_s,
            shed=_shed(running.spool),
            capture_gap_s=round(tally.gaps.total_s(elapsed_s()), 1),
        )


def payload_format(settings: EdgeSettings, extractor: FeatureExtractor | None, source: Source) -> str:
    """Return the payload format of the events: `flac`, a feature space, or `levels` without events."""
    if not settings.sends_clips:
        return "levels"
    return extractor.space.id if extractor else source.payload_format


def _shed(spool: Spool) -> tuple[ShedRange, ...]:
    with contextlib.suppress(UnavailableError):
        return spool.shed_ranges()
    return ()


def previous_event(spool: Spool) -> EventId | None:
    """Return the id of the latest event that an earlier run put in the spool; None if it is not known.

    Raises:
        UnavailableError: the disk cannot be read.
    """
    with contextlib.suppress(InvalidError):
        return EventId.parse(spool.note("newest") or "")
    return None


def announced(payload: bytes) -> tuple[str, bool]:
    """Return the boot id of a state message, and whether it is `ready`; ("", False) for an invalid message."""
    try:
        state = decode_json(StateMessage, payload)
    except InvalidError:
        return "", False
    return state.boot, state.state == "ready"
