"""The capture loop: read clips from the source at their pace, encode them as events, and put these in the spool.

The levels of the clips' seconds follow in series of one minute (`edge.level_recorder`).
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Final

from edge.calibration.in_force import open_calibration
from edge.capture_stats import CaptureStats
from edge.clock import clock_at
from edge.commands.clip_request import ClipRequests
from edge.encode import encode, measure
from edge.level_recorder import LevelRecorder
from edge.replay_clock import clip_start, next_due_s, stamp_played
from edge.selection import ByteBudget, Selection
from edge.settings import EdgeSettings
from edge.sound_filter import open_sound_filter
from edge.sources import AudioClip, Doubtful, EmbeddingClip, Source, UnreadableClip
from edge.spool import Spool
from shared.errors import InvalidError, OverloadedError, UnavailableError
from shared.events import Event, EventId
from shared.extractor import FeatureExtractor
from shared.level_series import LevelSeries, encode_series
from shared.levels.meter import LevelMeter, Measurement
from shared.mqtt.topics import SensorTopic

log = logging.getLogger(__name__)

FULL_WAIT_S: Final = 0.2
"""Seconds between two attempts of a replay to put an event in a full spool."""
REOPEN_S: Final = 5.0
"""Seconds before a failed microphone is opened again; they double after each further failure."""
REOPEN_CAP_S: Final = 60.0


class Capture:
    """One run of a source, on a thread of its own.

    Args:
        settings: settings of this sensor.
        source: source of the clips.
        spool: destination of the events.
        boot: id of this run.
        spooled: callback after every event that was put in the spool, on the worker's thread.
        extractor: computes the embeddings to send; None sends audio.

    Attributes:
        tally: counters of this run.
        calibration: calibration and correction of this sensor.

    Raises:
        InvalidError: the correction file is no correction, or the settings need a speech detector that is not
            installed.
        UnavailableError: the correction file or the history of calibrations cannot be read.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        source: Source,
        spool: Spool,
        boot: str,
        spooled: Callable[[], None],
        extractor: FeatureExtractor | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._spool = spool
        self._boot = boot
        self._spooled = spooled
        self._extractor = extractor
        self._sound = open_sound_filter(settings)
        self._selection = Selection(settings.send)
        self._budget = ByteBudget(
            settings.send.max_bytes_per_hour, settings.send.max_bytes_per_day, now_s=time.monotonic()
        )
        self._topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
        self._series_topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "levels"))
        self._start = settings.source.start_or(datetime.now(UTC))
        self._backfilled = not source.live and settings.source.replays_the_past
        self._due_s = time.monotonic()
        self._taken = 0
        self._delivered_s = self._due_s
        self._full = False
        self._meter: LevelMeter | None = None
        self._series = LevelRecorder(settings.sensor.site, settings.sensor.name, boot)
        self._series_count = 0
        self.tally = CaptureStats(progress_s=time.monotonic())
        self.calibration: Final = open_calibration(settings)
        self.clip_requests = ClipRequests()

    def run(self, stop: Flag) -> None:
        """Capture until the source ends, the limit is reached or `stop` is set.

        A live source that fails or is missing is opened again after a wait that doubles up to `REOPEN_CAP_S`.

        Raises:
            UnavailableError: a replay cannot go on.
        """
        try:
            self._run(stop)
        finally:
            self._put_series(self._series.flush(), stop)

    def _run(self, stop: Flag) -> None:
        rest_s = REOPEN_S
        while not stop.is_set():
            before = self._taken
            try:
                self._capture_clips(stop)
            except Exception as error:
                if not self._source.live:
                    raise
                if self._taken > before:
                    rest_s = REOPEN_S
                self._failed(error, rest_s)
                self._put_series(self._series.flush(), stop)
                stop.wait(rest_s)
                rest_s = min(REOPEN_CAP_S, 2.0 * rest_s)
            else:
                log.info("source ended", extra={"captured": self.tally.captured})
                return

    def _failed(self, error: Exception, rest_s: float) -> None:
        """Count a failure of a live source, and log it unless the same was logged last."""
        self.tally.failures += 1
        self.tally.progress_s = time.monotonic()
        known = isinstance(error, UnavailableError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        log.log(
            logging.DEBUG if reason == self.tally.failure else logging.ERROR,
            "the source delivers nothing: it is opened again",
            extra={"reason": reason, "retry_in_s": rest_s},
            exc_info=None if known else error,
        )
        self.tally.failure = reason
        self.calibration.reset()
        self._spooled()

    def _delivers(self) -> None:
        """Log the end of a gap of a live source: how long it delivered nothing."""
        if self.tally.failure:
            gap_s = round(time.monotonic() - self._delivered_s, 1)
            log.warning("the source delivers again", extra={"without_a_clip_s": gap_s})
        self.tally.failure = ""
        self._delivered_s = time.monotonic()

    def _capture_clips(self, stop: Flag) -> None:
        for item in self._source.clips(stop):
            if isinstance(item, UnreadableClip):
                self._skip(item)
                continue
            if isinstance(item, Doubtful):
                log.warning("recording may be faulty", extra={"what": item.what, "reason": item.reason})
                continue
            if not self._source.live:
                self._due_s = next_due_s(self._due_s, time.monotonic(), self._settings.source.speed)
                if stop.wait(max(0.0, self._due_s - time.monotonic())):
                    return
            self._delivers()
            self.tally.progress_s = time.monotonic()
            self._process_clip(item, stop)
            self._taken += 1
            if stop.is_set() or self._taken == self._settings.source.max_clips:
                return

    def _process_clip(self, item: AudioClip | EmbeddingClip, stop: Flag) -> None:
        seq = self.tally.highest_seq + 1
        event_id = EventId(self._settings.sensor.site, self._settings.sensor.name, self._boot, seq)
        captured_at = self._stamp()
        if isinstance(item, AudioClip) and item.captured_at is not None:
            captured_at = item.captured_at
        clock = clock_at(captured_at) if self._source.live else "unknown"
        messages: list[tuple[EventId, bytes]] = []
        series: list[LevelSeries] = []
        try:
            measured = self._measure(item)
            if self._settings.sends_clips:
                event = encode(
                    item,
                    event_id,
                    captured_at=captured_at,
                    clock=clock,
                    backfilled=self._backfilled,
                    measured=measured,
                    calibration=self.calibration,
                    extractor=self._extractor,
                    sound=self._sound,
                )
                messages = self._fit(self._selection.select(event))
            if measured is not None and self._settings.levels.series:
                series = self._series.add(
                    measured,
                    captured_at,
                    clock=clock,
                    backfilled=self._backfilled,
                    calibration=self.calibration.record,
                )
        except InvalidError as error:
            self._skip(UnreadableClip(_what(item, event_id), str(error)))
            return
        except Exception as error:  # one clip that cannot be encoded must not end the sensor
            log.exception("a clip could not be encoded", extra={"what": _what(item, event_id)})
            self._skip(UnreadableClip(_what(item, event_id), f"{type(error).__name__}: {error}"))
            return
        for message in messages:
            self._put(*message, stop)
        self._put_series(series, stop)

    def _fit(self, events: Iterable[Event]) -> list[tuple[EventId, bytes]]:
        """Return number the events to send, and return their messages as far as the bandwidth budget permits."""
        messages: list[tuple[EventId, bytes]] = []
        for event in events:
            event_id = replace(event.id, seq=self.tally.highest_seq + 1 + len(messages))
            payload = self._budget.fit(replace(event, id=event_id), time.monotonic())
            if payload is not None:
                messages.append((event_id, payload))
        self.tally.sound_over_budget = self._budget.sound_left_out
        self.tally.features_over_budget = self._budget.features_left_out
        self.tally.speech_removed_s = 0.0 if self._sound is None else self._sound.speech_removed_s
        return messages

    def _put(self, event_id: EventId, payload: bytes, stop: Flag) -> None:
        if self._enqueue(str(event_id), self._topic, payload, stop):
            self.tally.highest_seq = event_id.seq
            self.tally.captured += 1
            self.tally.last_captured_s = time.time()
            self.clip_requests.fulfil(str(event_id))
            self._spooled()
        elif self._source.live:
            self.tally.highest_seq = event_id.seq
            self.tally.dropped += 1
            log.warning("clip dropped", extra={"event": str(event_id), "dropped": self.tally.dropped})

    def _put_series(self, series: Iterable[LevelSeries], stop: Flag) -> None:
        """Put level series in the spool; count the seconds of those that do not fit the spool or the budget."""
        for one in series:
            payload = encode_series(one)
            self._series_count += 1
            name = f"{one.site}.{one.sensor}.{one.boot}.levels-{self._series_count}"
            fits = self._budget.fit_levels(payload, time.monotonic())
            if fits and self._enqueue(name, self._series_topic, payload, stop):
                self._spooled()
            else:
                self.tally.level_seconds_dropped += len(one.tenths)
                log.warning("level series dropped", extra={"start": str(one.captured_at), "over_budget": not fits})

    def _measure(self, item: AudioClip | EmbeddingClip) -> Measurement | None:
        """Measure a clip; None if it is an embedding. The meter keeps its state only if the clip follows another."""
        if isinstance(item, EmbeddingClip):
            return None
        if self._meter is None or self._meter.rate_hz != item.rate_hz:
            self._meter = LevelMeter(item.rate_hz, self.calibration.full_scale_db_spl)
        elif not item.continues:
            self._meter.restart()
            self.calibration.reset()
        return measure(item, self.calibration, self._meter)

    def _stamp(self) -> datetime:
        """Return the capture time of the replay's current clip."""
        if self._settings.source.timestamps == "played":
            return stamp_played(datetime.now(UTC))
        return clip_start(self._start, self._taken)

    def _enqueue(self, name: str, topic: str, payload: bytes, stop: Flag) -> bool:
        """Put a message in the spool; return False if a live source drops it or a stop ends a replay's wait."""
        while True:
            try:
                event = topic == self._topic
                evicted = self._spool.put(name, topic, payload, evict=self._source.live, newest=event)
            except (OverloadedError, UnavailableError) as error:
                if not self._full:
                    self._full = True
                    log.warning("spool takes no more", extra={"reason": str(error), "live": self._source.live})
                if self._source.live or stop.wait(FULL_WAIT_S):
                    return False
            else:
                self._full = False
                if evicted:
                    self.tally.dropped += evicted
                    log.warning(
                        "the spool is full: it dropped events that the broker cannot take", extra={"events": evicted}
                    )
                return True

    def _skip(self, item: UnreadableClip) -> None:
        self.tally.unreadable += 1
        log.warning("unreadable clip skipped", extra={"what": item.what, "reason": item.reason})


def _what(item: AudioClip | EmbeddingClip, event_id: EventId) -> str:
    """Return the clip's origin or event id, for the log."""
    return (item.origin if isinstance(item, AudioClip) else None) or str(event_id)
