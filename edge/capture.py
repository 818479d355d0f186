"""The worker's loop: take clips from the source at their pace, make events of them, put them in the spool."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from typing import Final

from edge.encode import encode
from edge.pace import next_due_s, stamp
from edge.settings import EdgeSettings
from edge.sources import Doubtful, Embedded, Sound, Source, Unreadable
from edge.spool import Spool
from shared.errors import Busy, Invalid, Unavailable
from shared.events import ClockStatus, EventId
from shared.extractor import Extractor
from shared.messages import encode_event
from shared.topics import SensorTopic

log = logging.getLogger(__name__)

FULL_WAIT_S: Final = 0.2
"""How often a source that waits for room in the spool looks again."""
REOPEN_S: Final = 5.0
"""How long a failed microphone rests before it is opened again."""
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")


@dataclass(slots=True)
class Tally:
    """What the worker did so far; written by the worker only.

    Attributes:
        captured: events put in the spool.
        dropped: clips given up because the spool took no more.
        unreadable: clips that could not be read.
        failures: times that a live source failed, to be opened again.
        last_captured_s: when an event was last put in the spool, in seconds since the epoch; 0 if none yet.
    """

    captured: int = 0
    dropped: int = 0
    unreadable: int = 0
    failures: int = 0
    last_captured_s: float = 0.0


class Capture:
    """One run of a source, on a thread of its own.

    Args:
        settings: of this sensor.
        source: where clips come from.
        spool: where events go.
        boot: id of this run.
        spooled: called after every event that was put, on the worker's thread.
        extractor: makes features of sound, which are sent instead of it; None sends the sound.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        source: Source,
        spool: Spool,
        boot: str,
        spooled: Callable[[], None],
        extractor: Extractor | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._spool = spool
        self._boot = boot
        self._spooled = spooled
        self._extractor = extractor
        self._topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
        self._start = settings.source.start_or(datetime.now(UTC))
        self._due_s = time.monotonic()
        self._taken = 0
        self._full = False
        self.tally = Tally()

    def run(self, stop: Flag) -> None:
        """Capture until the source ends, the limit is reached or `stop` is set.

        A live source that fails is opened again after a rest.

        Raises:
            Unavailable: a replay cannot go on.
        """
        while not stop.is_set():
            try:
                self._listen(stop)
            except Unavailable as error:
                if not self._source.live:
                    raise
                self.tally.failures += 1
                log.error("microphone failed, trying again", extra={"reason": str(error)})  # noqa: TRY400
                stop.wait(REOPEN_S)
            else:
                log.info("source ended", extra={"captured": self.tally.captured})
                return

    def _listen(self, stop: Flag) -> None:
        for item in self._source.items(stop):
            if isinstance(item, Unreadable):
                self._skip(item)
                continue
            if isinstance(item, Doubtful):
                log.warning("recording is doubtful", extra={"what": item.what, "reason": item.reason})
                continue
            if not self._source.live:
                self._due_s = next_due_s(self._due_s, time.monotonic(), self._settings.source.speed)
                if stop.wait(max(0.0, self._due_s - time.monotonic())):
                    return
            self._take(item, stop)
            self._taken += 1
            if stop.is_set() or self._taken == self._settings.source.limit:
                return

    def _take(self, item: Sound | Embedded, stop: Flag) -> None:
        event_id = EventId(self._settings.sensor.name, self._boot, self._taken)
        try:
            event = encode(
                item,
                event_id,
                site=self._settings.sensor.site,
                captured_at=stamp(self._start, self._taken),
                clock=clock() if self._source.live else "unknown",
                calibration_db=self._settings.levels.calibration_db,
                extractor=self._extractor,
            )
        except Invalid as error:
            self._skip(Unreadable(_what(item, event_id), str(error)))
            return
        except Exception as error:  # one clip must not end the others
            log.exception("clip failed unexpectedly", extra={"what": _what(item, event_id)})
            self._skip(Unreadable(_what(item, event_id), f"{type(error).__name__}: {error}"))
            return
        if self._keep(str(event_id), encode_event(event), stop):
            self.tally.captured += 1
            self.tally.last_captured_s = time.time()
            self._spooled()
        elif self._source.live:
            self.tally.dropped += 1
            log.warning("clip dropped", extra={"event": str(event_id), "dropped": self.tally.dropped})

    def _keep(self, event: str, payload: bytes, stop: Flag) -> bool:
        """Put an event in the spool; a replay waits for room or the stop, a live source gives up."""
        while True:
            try:
                self._spool.put(event, self._topic, payload, evict=self._source.live)
            except (Busy, Unavailable) as error:
                if not self._full:
                    self._full = True
                    log.warning("spool takes no more", extra={"reason": str(error), "live": self._source.live})
                if self._source.live or stop.wait(FULL_WAIT_S):
                    return False
            else:
                self._full = False
                return True

    def _skip(self, item: Unreadable) -> None:
        self.tally.unreadable += 1
        log.warning("unreadable clip skipped", extra={"what": item.what, "reason": item.reason})


def _what(item: Sound | Embedded, event_id: EventId) -> str:
    """Which clip it is, for people."""
    return (item.origin if isinstance(item, Sound) else None) or str(event_id)


def clock() -> ClockStatus:
    """Synchronised if systemd-timesyncd says so; otherwise nothing is known."""
    return "synchronised" if _SYNCHRONISED.exists() else "unknown"
