"""Write a history into the archive: dated clips go through the hub's pipeline, as if received at their dates.

`hub.ingest.pipeline` archives, searches and judges each clip, and keeps its audio. The threshold tuner runs once per
simulated day. A clip has the features and the audio of a take, so that each take is embedded once. Alerts wait in
Redis for a running hub, which completes and publishes them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

import numpy as np
from prometheus_client import CollectorRegistry

from hub.app.event_factory import build_pipeline
from hub.app.factory import (
    build_extractor,
    build_retrieval,
    build_stores,
    build_threshold_tuner,
)
from hub.ingest.capture_times import ClockRules
from hub.ingest.messages import Outcome, PreparedMessage
from hub.ingest.pipeline import Recognition
from hub.metrics.definitions import HubMetrics
from hub.sandbox.neighbourhood import HistoryClip, batches
from hub.sandbox.rendered_clips import Sounds, Take, render
from hub.settings import HubSettings
from hub.store.audio_files import AudioFileStore
from hub.store.events import EventStore
from shared.errors import InvalidError
from shared.events import CLIP_S, Embedding, Event, EventId, Flac, Levels
from shared.mqtt.topics import SensorTopic
from shared.sealed_sound import SealedSound
from shared.synthetic_features import splice_clips
from shared.synthetic_mixture import RATE_HZ

BOOT: Final = "history"
"""Boot id of all events of the history."""
_DELIVERY: Final = timedelta(seconds=CLIP_S + 1)
"""Time from the start of a clip to its receipt."""


class LinkedClips(AudioFileStore):
    """A folder of audio files in which events with the same audio share one file, by hard links.

    Args:
        root: the folder; created if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._written: dict[Flac, Path] = {}

    def save(self, event: Event, audio: Flac | SealedSound) -> str:
        """Write an event's audio, or link it to the file with the same audio.

        Returns:
            The path below the folder.

        Raises:
            UnavailableError: the disk is full or the folder cannot be written.
        """
        if isinstance(audio, SealedSound):
            return super().save(event, audio)
        path = self.path_of(event)
        if audio in self._written:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(self._written[audio], path)
            except OSError:  # a file system without hard links, or with a limit on them
                return super().save(event, audio)
            return self.below_root(path)
        kept = super().save(event, audio)
        self._written[audio] = path
        return kept


class HistoryWriter:
    """Writes clips of the past into an archive.

    Args:
        settings: settings of the hub of that archive.
        rng: source of all randomness.

    Raises:
        InvalidError: settings or a checkpoint cannot be used.
    """

    def __init__(self, settings: HubSettings, rng: np.random.Generator) -> None:
        self._rng = rng
        stores = build_stores(settings)
        self.archive: EventStore = stores.events
        self._retrieval = build_retrieval(settings)
        self._extractor, _ = build_extractor(settings, self._retrieval)
        self._tuner = build_threshold_tuner(settings.alerts, stores)
        audio_dir = settings.store.audio_dir
        self._received_at = datetime.now(UTC)
        self._pipeline = build_pipeline(
            settings,
            replace(stores, audio=LinkedClips(audio_dir) if audio_dir else None),
            Recognition(self._extractor, self._retrieval),
            HubMetrics(CollectorRegistry()),
            ClockRules(now=lambda: self._received_at),
        )
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def write(
        self,
        clips: Sequence[HistoryClip],
        progress: Callable[[str, float], None] = lambda *_: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Render the sounds of clips, and archive the clips.

        Args:
            clips: clips, ordered by time.
            progress: called with the current step and its progress in [0, 1].
            stopped: called between scenes and between batches; True ends the writing early.

        Raises:
            UnavailableError: Redis or the disk is not available.
        """
        takes: dict[Sounds, list[Take]] = {}
        mixtures = sorted({clip.sounds for clip in clips})
        for mixture, take, share in render(mixtures, self._extractor, self._rng):
            if stopped():
                return
            takes.setdefault(mixture, []).append(take)
            progress("rendering scenes", share)
        done, day = 0, None
        for batch in batches(clips):
            if stopped():
                return
            if batch[0].at.date() != day and day is not None:
                self._tuner.tune_stale()
            day = batch[0].at.date()
            self._take(batch, [same[int(self._rng.integers(len(same)))] for same in (takes[c.sounds] for c in batch)])
            done += len(batch)
            progress("archiving history", done / len(clips))
        self._tuner.tune_stale()

    def _take(self, batch: Sequence[HistoryClip], takes: Sequence[Take]) -> None:
        """Let the pipeline process a batch as if it was just received."""
        self._received_at = batch[-1].at + _DELIVERY
        space = self._extractor.space.id
        # Each use of a take varies its features slightly, as another performance of the sound.
        features = np.concatenate([splice_clips(take.features[None], 1, self._rng) for take in takes])
        towers = self._retrieval.embed_all(space, features)
        items = []
        for clip, take, row, tower in zip(batch, takes, features, towers, strict=True):
            body = take.flac if clip.sound else Embedding(space, row)
            event = self._event(clip, take, body)
            topic = str(SensorTopic(event.site, event.id.sensor, "event"))
            items.append(PreparedMessage(topic, b"", event=event, space=space, features=row, towers=tower))
        for handled in self._pipeline.process(items):
            if handled.outcome is not Outcome.ARCHIVED:
                raise InvalidError(
                    f"an event of the history became a {handled.outcome.value}: the archive is not empty"
                )

    def _event(self, clip: HistoryClip, take: Take, body: Flac | Embedding) -> Event:
        site, _, sensor = clip.place.partition("/")
        number = self._numbers.get(clip.place, 0)
        self._numbers[clip.place] = number + 1
        levels = take.levels
        return Event(
            id=EventId(site, sensor, BOOT, number),
            captured_at=clip.at,
            duration_s=CLIP_S,
            rate_hz=RATE_HZ,
            levels=Levels(levels.laeq + clip.louder_db, levels.lafmax + clip.louder_db, levels.unit),
            body=body,
            backfilled=True,
        )
