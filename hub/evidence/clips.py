"""Put the sound and the pictures of alerts into an evidence report."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import redis

from hub.domain.records import StoredEvent
from hub.evidence.archive import EvidenceArchive
from hub.evidence.contents import AlertRecord
from hub.features.spectrogram import fingerprint, png, spectrogram
from hub.store.client import is_damage
from hub.store.events import EventStore
from shared.audio import read_file
from shared.errors import EarwitnessError
from shared.sealed_sound import SUFFIX, key_list

log = logging.getLogger(__name__)

MOST_PICTURES: Final = 500
"""Spectrograms of a report; the first alerts have them."""
_WIDTH, _HEIGHT = 900, 260


class ClipCollector:
    """Writes the sound and the spectrogram of each alert.

    Args:
        archive: the event store.
        root: folder of the audio files; None if the hub keeps none.
        max_bytes: most bytes of all clips.
    """

    def __init__(self, archive: EventStore, root: Path | None, max_bytes: int) -> None:
        self._archive = archive
        self._root = root
        self._left_bytes = max_bytes
        self._pictures = 0

    def add(self, to: EvidenceArchive, records: Sequence[AlertRecord]) -> list[AlertRecord]:
        """Write the files of alerts; return the alerts with the names of their files.

        Raises:
            UnavailableError: the store does not answer.
        """
        return [self._with_files(to, record) for record in records]

    def _with_files(self, to: EvidenceArchive, record: AlertRecord) -> AlertRecord:
        event = self._event(record.alert.event)
        if event is None:
            return replace(record, clip_note="the event is not in the archive, or cannot be read")
        path, note = self._path(event)
        clip = spectrogram_name = ""
        if path is not None:
            try:
                data = path.read_bytes()
            except OSError as error:
                path, note = None, f"the sound cannot be read: {error.strerror}"
            else:
                clip = f"clips/{event.id}{path.suffix}"
                to.add(clip, [data])
        if picture := self._picture(event, None if event.sealed_to else path):
            spectrogram_name = f"spectrograms/{event.id}.png"
            to.add(spectrogram_name, [picture])
        network = "" if event.towers is None else event.towers.network
        return replace(record, network=network, clip=clip, clip_note=note, spectrogram=spectrogram_name)

    def _event(self, name: str) -> StoredEvent | None:
        """Return an event; None, counted as left out, if there is none or it cannot be read."""
        fault: Exception = LookupError("the event of an alert is not there")
        try:
            if found := self._archive.fetch([name]):
                return found[0]
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            fault = error
        self._archive.rows.leave_out("event", name, fault)
        return None

    def _path(self, event: StoredEvent) -> tuple[Path | None, str]:
        """Return the audio file of an event, or None and the reason; a note if it is sealed."""
        if self._root is None:
            return None, "the hub keeps no sound (store.audio_dir)"
        if not event.clip:
            return None, "the sensor sent no sound, or the disk failed"
        path = (self._root / event.clip).resolve()
        if not path.is_relative_to(self._root.resolve()) or not path.is_file():
            return None, "the sound is no longer on the disk"
        size_bytes = path.stat().st_size
        if size_bytes > self._left_bytes:
            return None, "left out: the clips would be larger than evidence.max_clip_bytes"
        self._left_bytes -= size_bytes
        sealed = path.suffix == SUFFIX or bool(event.sealed_to)
        return path, f"sealed to {key_list(event.sealed_to)}" if sealed else ""

    def _picture(self, event: StoredEvent, path: Path | None) -> bytes:
        """Return the spectrogram of an event as PNG, of its features if there is no sound in clear; empty if none."""
        if self._pictures == MOST_PICTURES:
            return b""
        self._pictures += 1
        if path is not None:
            try:
                waveform, rate_hz = read_file(path)
                return png(spectrogram(waveform, rate_hz), width=_WIDTH, height=_HEIGHT, smooth=True)
            except EarwitnessError as error:
                log.warning("spectrogram of features: the sound cannot be read", extra={"reason": str(error)})
        return png(fingerprint(event.space, event.features), width=_WIDTH, height=_HEIGHT, smooth=False)
