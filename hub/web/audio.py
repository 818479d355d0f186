"""The audio file of an event: the FLAC file or the sealed file that the sensor sent, if the hub kept it."""

from pathlib import Path

from fastapi import HTTPException

from hub.domain.records import StoredEvent
from hub.web.context import WebContext
from shared.sealed_sound import key_list


def audio_path(parts: WebContext, event: StoredEvent) -> Path | None:
    """Return the path of an event's audio file in clear; None if there is none."""
    return None if event.sealed_to else _existing(parts, event)


def sealed_path(parts: WebContext, event: StoredEvent) -> Path | None:
    """Return the path of an event's sealed audio file; None if there is none."""
    return _existing(parts, event) if event.sealed_to else None


def _existing(parts: WebContext, event: StoredEvent) -> Path | None:
    root = parts.settings.store.audio_dir
    if root is None or not event.clip:
        return None
    path = (root / event.clip).resolve()
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


def get_audio_or_404(parts: WebContext, event: StoredEvent) -> Path:
    """Return the path of an event's audio file in clear.

    Raises:
        HTTPException: 404, there is none; the detail gives the reason.
    """
    path = audio_path(parts, event)
    if path is not None:
        return path
    if event.clip and event.sealed_to:
        raise HTTPException(
            404,
            f"the audio of {event.id} is sealed to {key_list(event.sealed_to)}: get"
            f" /api/v1/events/{event.id}/sealed-audio and open it with the private key",
        )
    raise _missing(parts, event)


def get_sealed_audio_or_404(parts: WebContext, event: StoredEvent) -> Path:
    """Return the path of an event's sealed audio file.

    Raises:
        HTTPException: 404, there is none; the detail gives the reason.
    """
    path = sealed_path(parts, event)
    if path is not None:
        return path
    if event.clip and not event.sealed_to:
        raise HTTPException(404, f"the audio of {event.id} is not sealed: get /api/v1/events/{event.id}/audio")
    raise _missing(parts, event)


def _missing(parts: WebContext, event: StoredEvent) -> HTTPException:
    """Return the error that states why there is no audio."""
    if parts.settings.store.audio_dir is None:
        return HTTPException(404, "this hub keeps no audio: store.audio_dir is not set")
    if not event.clip:
        return HTTPException(404, f"the audio of {event.id} was not kept: its sensor sent none, or the disk failed")
    return HTTPException(404, f"the audio of {event.id} is no longer on the disk")
