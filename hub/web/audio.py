"""The sound of an event, where it was kept: the FLAC file that the sensor sent."""

from pathlib import Path

from fastapi import HTTPException

from hub.domain.records import StoredEvent
from hub.web.context import WebContext


def audio_path(parts: WebContext, event: StoredEvent) -> Path | None:
    """The file of an event's sound; None if there is none."""
    root = parts.settings.store.audio_dir
    if root is None or not event.clip:
        return None
    path = (root / event.clip).resolve()
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


def get_audio_or_404(parts: WebContext, event: StoredEvent) -> Path:
    """The file of an event's sound.

    Raises:
        HTTPException: 404, there is none; says why.
    """
    path = audio_path(parts, event)
    if path is not None:
        return path
    if parts.settings.store.audio_dir is None:
        raise HTTPException(404, "no sound is kept here: store.audio_dir is not set")
    if not event.clip:
        raise HTTPException(404, f"the sound of {event.id} was not kept: its sensor sent numbers, or the disk failed")
    raise HTTPException(404, f"the sound of {event.id} is not on the disk any more")
