"""The capture loop: read clips from the source at their pace, encode them as events, and put these in the spool.

The levels of the clips' seconds follow in series of one minute (`edge.level_recorder`).
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Final

from edge.calibration.in_force import open_calibration
from edge.capture_stats import CaptureStats
from edge.clock import clock_at, elapsed_s
from edge.clock_history import ClockHistory
from edge.commands.clip_request import ClipRequests
from edge.encode import encode, measure
from edge.level_recorder import LevelRecorder
from edge.replay_clock import clip_start, next_due_s, stamp_played
from edge.sealing import open_sealer
from edge.selection import ByteBudget, Selection
from edge.settings import EdgeSettings
from edge.sound_filter import open_sound_filter
from edge.sources import AudioClip, Doubtful, EmbeddingClip, Source, UnreadableClip
from edge.spool_writer import Destination, SpoolWriter
from shared.errors import InvalidError, UnavailableError
from shared.events import ClockStatus, Event, EventId
from shared.extractor import FeatureExtractor
from shared.level_series import LevelSeries
from shared.levels.meter import LevelMeter, Measurement
from shared.messages.fields import Content
from shared.mqtt.topics import SensorTopic

log = logging.getLogger(__name__)

REOPEN_S: Final = 5.0
"""Seconds before a failed microphone is opened again; they double after each further failure."""
REOPEN_CAP_S: Final = 60.0


class Capture:
    """One run of a source, on a thread of its own.

    Args:
        settings: settings of this sensor.
        source: source of the clips.
        destination: where events and level series are put.
        boot: id of this run.
        extractor: computes the embeddings to send; None sends audio.

    Attributes:
        tally: counters of this run.
        calibration: calibration and correction of this sensor.
        clock: settings of the machine's clock during this run.

    Raises:
        InvalidError: the correction file is no correction, a public key is invalid, or the settings need a package
            that is not installed.
        UnavailableError: the correction file, the history of calibrations or the public keys cannot be read.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        source: Source,
        destination: Destination,
        boot: str,
        extractor: FeatureExtractor | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._boot = boot
        self._spooled = destination.spooled
        self._extractor = extractor
        self._sound = open_sound_filter(settings)
        self._sealer = open_sealer(settings)
        self._selection = Selection(settings.send)
        self._budget = ByteBudget(
            settings.send.max_bytes_per_hour, settings.send.max_bytes_per_day, now_s=time.monotonic()
        )
        self._topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
        self._start = settings.source.start_or(datetime.now(UTC))
        self._backfilled = not source.live and settings.source.replays_the_past
        self._due_s = time.monotonic()
        self._taken = 0
        self._meter: LevelMeter | None = None
        sensor = settings.sensor
        self._series = LevelRecorder(sensor.site, sensor.name, boot, bands=settings.levels.bands)
        self.tally = CaptureStats(progress_s=time.monotonic())
        self._writer = SpoolWriter(destination, self.tally, self._budget, live=source.live)
        self.calibration: Final = open_calibration(settings)
        self.clip_requests = ClipRequests()
        self.clock: Final = ClockHistory()

    def run(self, stop: Flag) -> None:
        """Capture until the source ends, the limit is reached or `stop` is set.

        A live source that fails or is missing is opened again after a wait that doubles up to `REOPEN_CAP_S`.

        Raises:
            UnavailableError: a replay cannot go on.
        """
        try:
            self._run(stop)
        finally:
            self._writer.put_series(self._series.flush(), stop)

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
                self._writer.put_series(self._series.flush(), stop)
                stop.wait(rest_s)
                rest_s = min(REOPEN_CAP_S, 2.0 * rest_s)
            else:
                log.info("source ended", extra={"captured": self.tally.captured})
                return

    def _failed(self, error: Exception, rest_s: float) -> None:
        """Count a failure of a live source, and log it unless the same was logged last."""
        self.tally.failures += 1
        self.tally.gaps.failed(elapsed_s())
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

    def _delivers(self, item: AudioClip | EmbeddingClip) -> None:
        """Count the gap before a clip of a live source, and log it if the source had failed."""
        if not self._source.live or isinstance(item, EmbeddingClip):
            return
        duration_s = item.waveform.size / item.rate_hz
        began_s = elapsed_s() - duration_s if item.began_s is None else item.began_s
        gap_s = self.tally.gaps.delivered(began_s, duration_s, continues=item.continues)
        if self.tally.failure:
            log.warning("the source delivers again", extra={"gap_s": round(gap_s, 1)})
        self.tally.failure = ""

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
            self._delivers(item)
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
        messages: list[tuple[EventId, bytes, Content]] = []
        series: list[LevelSeries] = []
        try:
            clock = self._observe_clock(item, captured_at, stop)
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
        self._writer.put_series(series, stop)

    def _observe_clock(self, item: AudioClip | EmbeddingClip, captured_at: datetime, stop: Flag) -> ClockStatus:
        """Return the status of the clock that stamped a clip; `unknown` for a replay."""
        if not self._source.live:
            return "unknown"
        status = clock_at(captured_at)
        if not isinstance(item, AudioClip) or item.began_s is None:
            return status
        if self.clock.observe(captured_at, item.began_s, status, self.tally.highest_seq + 1):
            self.tally.clock_jumps += 1
            self._writer.put_series(self._series.flush(), stop)  # it was stamped before the jump
            self._selection.drop_pre_roll()  # they would get numbers of clips after the jump
            log.warning(
                "the machine's clock was set to another time", extra={"at": str(captured_at), "clock": status}
            )
        return status

    def _fit(self, events: Iterable[Event]) -> list[tuple[EventId, bytes, Content]]:
        """Assign numbers to the events to send, and return their messages as far as the bandwidth budget permits."""
        messages: list[tuple[EventId, bytes, Content]] = []
        for event in events:
            event_id = replace(event.id, seq=self.tally.highest_seq + 1 + len(messages))
            numbered = replace(event, id=event_id)
            sent = numbered if self._sealer is None else self._sealer.seal(numbered)
            fitted = self._budget.fit(sent, time.monotonic())
            if fitted is not None:
                messages.append((event_id, *fitted))
        self.tally.sound_over_budget = self._budget.sound_left_out
        self.tally.features_over_budget = self._budget.features_left_out
        self.tally.speech_removed_s = 0.0 if self._sound is None else self._sound.speech_removed_s
        return messages

    def _put(self, event_id: EventId, payload: bytes, content: Content, stop: Flag) -> None:
        if self._writer.put(str(event_id), self._topic, payload, content, stop):
            self.tally.highest_seq = event_id.seq
            self.tally.captured += 1
            self.tally.last_captured_s = time.time()
            self.clip_requests.fulfil(str(event_id))
            self._spooled()
        elif self._source.live:
            self.tally.highest_seq = event_id.seq
            self.tally.dropped += 1
            log.warning("clip dropped", extra={"event": str(event_id), "dropped": self.tally.dropped})

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

    def _skip(self, item: UnreadableClip) -> None:
        self.tally.unreadable += 1
        log.warning("unreadable clip skipped", extra={"what": item.what, "reason": item.reason})


def _what(item: AudioClip | EmbeddingClip, event_id: EventId) -> str:
    """Return the clip's origin or event id, for the log."""
    return (item.origin if isinstance(item, AudioClip) else None) or str(event_id)
