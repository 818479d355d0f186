"""The audio file of an event: the FLAC file that the sensor sent, if the hub kept it."""

from pathlib import Path

from fastapi import HTTPException

from hub.domain.records import StoredEvent
from hub.web.context import WebContext


def audio_path(parts: WebContext, event: StoredEvent) -> Path | None:
    """Return the path of an event's audio file; None if there is none."""
    root = parts.settings.store.audio_dir
    if root is None or not event.clip:
        return None
    path = (root / event.clip).resolve()
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


def get_audio_or_404(parts: WebContext, event: StoredEvent) -> Path:
    """Return the path of an event's audio file.

    Raises:
        HTTPException: 404, there is none; the detail gives the reason.
    """
    path = audio_path(parts, event)
    if path is not None:
        return path
    if parts.settings.store.audio_dir is None:
        raise HTTPException(404, "this hub keeps no audio: store.audio_dir is not set")
    if not event.clip:
        raise HTTPException(404, f"the audio of {event.id} was not kept: its sensor sent none, or the disk failed")
    raise HTTPException(404, f"the audio of {event.id} is no longer on the disk")
