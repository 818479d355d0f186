"""Look up an event, alert, episode or last event by id, or raise a 404; parse places and categories."""

from collections.abc import Iterable

from fastapi import HTTPException

from hub.domain.episodes import Episode
from hub.domain.records import Sensor, StoredEvent
from hub.store.events import EventStore
from hub.web.context import WebContext
from shared.errors import InvalidError
from shared.events import EventId, check_name
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES


def get_event_or_404(archive: EventStore, event_id: str) -> StoredEvent:
    """Return an archived event.

    Raises:
        InvalidError: not an event id.
        HTTPException: 404, no event of this id.
    """
    event = archive.get(EventId.parse(event_id))
    if event is None:
        raise HTTPException(404, f"no event {event_id}")
    return event


def get_sensor_or_404(archive: EventStore, place: str) -> Sensor:
    """Return a sensor.

    Raises:
        HTTPException: 404, no sensor of this `site/sensor`.
    """
    sensor = archive.sensors.get(place)
    if sensor is None:
        raise HTTPException(404, f"no sensor {place}")
    return sensor


def get_alert_or_404(archive: EventStore, alert_id: str) -> AlertMessage:
    """Return an alert by the id of its event.

    Raises:
        InvalidError: not an event id.
        HTTPException: 404, no alert of this id.
    """
    EventId.parse(alert_id)
    alert = archive.alerts.get(alert_id)
    if alert is None:
        raise HTTPException(404, f"no alert {alert_id}")
    return alert


def get_episode_or_404(parts: WebContext, episode_id: str) -> Episode:
    """Return an episode.

    Raises:
        InvalidError: not an episode id.
        HTTPException: 404, no episode of this id.
    """
    event, _, number = episode_id.rpartition(".")
    EventId.parse(event)
    if number not in {str(n) for n in range(len(CATEGORIES))}:
        raise InvalidError(f"{episode_id!r} is not an episode id (site.sensor.boot.seq.number)")
    episode = parts.episode_store.episode(episode_id)
    if episode is None:
        raise HTTPException(404, f"no episode {episode_id}")
    return episode


def last_events(archive: EventStore, sensors: Iterable[Sensor]) -> dict[str, StoredEvent]:
    """Return the last event of each of some sensors by place; a sensor without an archived event is missing."""
    return {event.place: event for event in archive.fetch([one.last_event for one in sensors if one.last_event])}


def parse_place(text: str | None) -> str | None:
    """Return a checked place, `site/sensor`; None if `text` is empty.

    Raises:
        InvalidError: not of this form.
    """
    if not text:
        return None
    site, _, sensor = text.partition("/")
    check_name(site, "site")
    check_name(sensor, "sensor")
    return text


def parse_category(text: str | None) -> str | None:
    """Return a checked category of the taxonomy; None if `text` is empty.

    Raises:
        InvalidError: not a category.
    """
    if text and text not in CATEGORIES:
        raise InvalidError(f"unknown category {text!r}; use one of {', '.join(CATEGORIES)}")
    return text or None
