"""One event, alert or episode by its id, or the error that says there is none."""

from fastapi import HTTPException

from hub.domain.episodes import Episode
from hub.domain.records import StoredEvent
from hub.store.events import EventStore
from hub.web.context import WebContext
from shared.errors import InvalidError
from shared.events import EventId, check_name
from shared.messages import AlertMessage
from shared.taxonomy import CATEGORIES


def get_event_or_404(archive: EventStore, event_id: str) -> StoredEvent:
    """An archived event.

    Raises:
        Invalid: not an event id.
        HTTPException: 404, none of this id.
    """
    event = archive.get(EventId.parse(event_id))
    if event is None:
        raise HTTPException(404, f"no event {event_id}")
    return event


def get_alert_or_404(archive: EventStore, alert_id: str) -> AlertMessage:
    """An alert, by the id of its event.

    Raises:
        Invalid: not an event id.
        HTTPException: 404, none of this id.
    """
    EventId.parse(alert_id)
    found = archive.alerts.get(alert_id)
    if found is None:
        raise HTTPException(404, f"no alert {alert_id}")
    return found


def get_episode_or_404(parts: WebContext, episode_id: str) -> Episode:
    """An episode.

    Raises:
        Invalid: not an episode id.
        HTTPException: 404, none of this id.
    """
    event, _, number = episode_id.rpartition(".")
    EventId.parse(event)
    if number not in {str(n) for n in range(len(CATEGORIES))}:
        raise InvalidError(f"{episode_id!r} is not an episode id (site.sensor.boot.seq.number)")
    found = parts.episode_store.episode(episode_id)
    if found is None:
        raise HTTPException(404, f"no episode {episode_id}")
    return found


def parse_place(text: str | None) -> str | None:
    """A place, `site/sensor`; nothing stays None.

    Raises:
        Invalid: another form.
    """
    if not text:
        return None
    site, _, sensor = text.partition("/")
    check_name(site, "site")
    check_name(sensor, "sensor")
    return text


def parse_category(text: str | None) -> str | None:
    """A category of the taxonomy; nothing stays None.

    Raises:
        Invalid: another word.
    """
    if text and text not in CATEGORIES:
        raise InvalidError(f"unknown category {text!r}; there are {', '.join(CATEGORIES)}")
    return text or None
