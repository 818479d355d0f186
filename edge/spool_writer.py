"""Put the messages of the capture loop in the spool. At a full spool a replay waits, and a live source drops some."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event as Flag
from typing import Final

from edge.capture_stats import CaptureStats
from edge.level_recorder import is_ahead
from edge.selection import ByteBudget
from edge.spool import Spool
from shared.errors import OverloadedError, UnavailableError
from shared.level_series import LevelSeries, encode_series
from shared.messages.fields import Content
from shared.mqtt.topics import SensorTopic

log = logging.getLogger(__name__)

FULL_WAIT_S: Final = 0.2
"""Seconds between two attempts of a replay to put a message in a full spool."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a run puts its messages.

    Attributes:
        spool: takes the messages.
        spooled: callback after every message that was put in the spool, on the thread of the capture.
    """

    spool: Spool
    spooled: Callable[[], None]


class SpoolWriter:
    """The way of one run's messages to the spool.

    Args:
        destination: where messages are put.
        tally: counters of the run.
        budget: bytes that level series may take.
        live: whether the source cannot wait, so that a full spool sheds messages.
    """

    def __init__(self, destination: Destination, tally: CaptureStats, budget: ByteBudget, *, live: bool) -> None:
        self._spool = destination.spool
        self._tally = tally
        self._budget = budget
        self._spooled = destination.spooled
        self._live = live
        self._full = False
        self._series_count = 0

    def put(self, name: str, topic: str, payload: bytes, content: Content, stop: Flag) -> bool:
        """Put a message in the spool; return False if a live source drops it or a stop ends a replay's wait."""
        event = content != "levels"
        while True:
            try:
                evicted = self._spool.put(name, topic, payload, evict=self._live, content=content, newest=event)
            except (OverloadedError, UnavailableError) as error:
                if not self._full:
                    self._full = True
                    log.warning("spool takes no more", extra={"reason": str(error), "live": self._live})
                if self._live or stop.wait(FULL_WAIT_S):
                    return False
            else:
                self._full = False
                if evicted:
                    self._tally.dropped += evicted
                    log.warning(
                        "the spool is full: it dropped events that the broker does not have",
                        extra={"events": evicted},
                    )
                return True

    def put_series(self, series: Iterable[LevelSeries], stop: Flag) -> None:
        """Put level series in the spool; count the seconds of those that do not fit the spool or the budget.

        A replay that runs ahead of the clock has seconds that are still to come: they are left out and counted.
        """
        for one in series:
            if not self._live and is_ahead(one, time.time()):
                self._tally.level_seconds_dropped += len(one.tenths)
                log.debug("level series of a time to come left out", extra={"start": str(one.captured_at)})
                continue
            payload = encode_series(one)
            self._series_count += 1
            name = f"{one.site}.{one.sensor}.{one.boot}.levels-{self._series_count}"
            topic = str(SensorTopic(one.site, one.sensor, "levels"))
            fits = self._budget.fit_levels(payload, time.monotonic())
            if fits and self.put(name, topic, payload, "levels", stop):
                self._spooled()
            else:
                self._tally.level_seconds_dropped += len(one.tenths)
                log.warning("level series dropped", extra={"start": str(one.captured_at), "over_budget": not fits})
