"""Keep the sound of events in audio files."""

import logging

from hub.metrics.definitions import HubMetrics
from hub.store.audio_files import AudioFileStore
from shared.errors import UnavailableError
from shared.events import Event

log = logging.getLogger(__name__)


class ClipKeeper:
    """Writes the sound of events; a disk that fails stops no event, and so no alert.

    Args:
        files: where audio is kept, or None to keep none.
        metrics: counts failures.
    """

    def __init__(self, files: AudioFileStore | None, metrics: HubMetrics) -> None:
        self._files = files
        self._metrics = metrics
        self._keeping = True

    def save(self, event: Event) -> str:
        """Keep an event's sound; return its path, or "" if it is not kept."""
        if self._files is None or event.audio is None:
            return ""
        try:
            path = self._files.save(event, event.audio)
        except UnavailableError as error:
            self._metrics.clip_failures.labels("write").inc()
            level = logging.WARNING if self._keeping else logging.DEBUG
            log.log(level, "events are archived without their sound", extra={"reason": str(error)})
            self._keeping = False
            return ""
        self._keeping = True
        return path

    def remove(self, clip: str) -> None:
        """Remove the sound of an event that is not archived."""
        if self._files is None:
            return
        try:
            self._files.remove(clip)
        except UnavailableError as error:
            self._metrics.clip_failures.labels("remove").inc()
            log.warning("a clip of an erased sensor is left behind", extra={"clip": clip, "reason": str(error)})
