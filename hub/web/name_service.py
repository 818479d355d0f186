"""Create, change, list and remove named sounds, for API and pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import HTTPException

from hub.alerting.source_naming import examples_of, forget
from hub.domain.named_sounds import ALL_SITES, Likely, Mode, NamedSound, NameTakenError, Treatment, folded, tidy
from hub.domain.records import StoredEvent, to_ms
from hub.web.audio import audio_path
from hub.web.context import WebContext
from hub.web.name_schemas import ExampleView, NameView, example_view, name_view
from hub.web.resolve import get_event_or_404
from hub.web.source_schemas import source_of
from shared.messages.alert import Severity


@dataclass(frozen=True, slots=True)
class Change:
    """A requested change of a named sound; None keeps a value."""

    name: str | None = None
    mode: Mode | None = None
    threshold: float | None = None
    severity: Severity | None = None

    def of(self, before: Treatment) -> Treatment:
        """Return the treatment with the changes applied."""
        return Treatment(
            mode=self.mode or before.mode,
            threshold=before.threshold if self.threshold is None else self.threshold,
            severity=self.severity or before.severity,
        )


def sound_of(parts: WebContext, sound_id: str) -> NamedSound:
    """Return a named sound as it is now.

    Raises:
        HTTPException: 404, no named sound of this id.
        UnavailableError: the store is unavailable.
    """
    found = parts.name_matcher.sounds(at_once=True).get(sound_id)
    if found is None:
        raise HTTPException(404, f"no named sound {sound_id}")
    return found


def example_of(parts: WebContext, sound_id: str, event_id: str) -> StoredEvent:
    """Return an example of a named sound.

    Raises:
        HTTPException: 404, no such named sound or example.
        UnavailableError: the store is unavailable.
    """
    sound_of(parts, sound_id)
    found = parts.names.examples([(sound_id, event_id)]).get((sound_id, event_id))
    if found is None:
        raise HTTPException(404, f"the named sound {sound_id} has no example {event_id}")
    return found


def named(parts: WebContext, site: str | None = None) -> list[NameView]:
    """Return the named sounds of a site, or all, sorted by name.

    Raises:
        UnavailableError: the store is unavailable.
    """
    sounds = [one for one in parts.name_matcher.sounds(at_once=True).values() if site is None or one.serves(site)]
    return views(parts, sorted(sounds, key=lambda one: (folded(one.name), one.site)))


def views(parts: WebContext, sounds: Sequence[NamedSound]) -> list[NameView]:
    """Return the API representations of named sounds, with their examples and returns."""
    examples = parts.names.examples([(one.id, event) for one in sounds for event in one.examples])
    archived = {str(event.id) for event in parts.archive.fetch(sorted({event for _, event in examples}))}
    returns = parts.names.occurrences([one.id for one in sounds])

    def example(sound: str, event: str) -> ExampleView | None:
        found = examples.get((sound, event))
        if found is None:
            return None
        return example_view(found, audio=audio_path(parts, found) is not None, archived=event in archived)

    return [
        name_view(one, [view for event in one.examples if (view := example(one.id, event))], returns[one.id])
        for one in sounds
    ]


def add(
    parts: WebContext,
    name: str,
    events: Sequence[str],
    change: Change,
    *,
    all_sites: bool = False,
    by: str = "",
    source: str = "",
) -> NamedSound:
    """Name a sound by events of the archive.

    Raises:
        InvalidError: a name or number of events that is not allowed, or events of several sites.
        HTTPException: 404, no such event; 409, the name is taken, or there are too many names.
        UnavailableError: the store is unavailable.
    """
    for event in dict.fromkeys(events):
        parts.name_matcher.check(get_event_or_404(parts.archive, event).space)
    try:
        sound = parts.names.add(
            name,
            list(dict.fromkeys(events)),
            site=ALL_SITES if all_sites else None,
            treatment=change.of(Treatment()),
            by=by,
            now_ms=to_ms(datetime.now(UTC)),
            source=source,
        )
    except NameTakenError as error:
        raise HTTPException(409, str(error)) from error
    parts.name_matcher.sounds(at_once=True)  # this hub matches it before it answers, other hubs soon after
    return sound


def name_source(
    parts: WebContext, source_id: str, name: str, change: Change, *, all_sites: bool = False, by: str = ""
) -> NamedSound:
    """Name a source: its exemplars become the examples. The hub keeps the source while it has the name.

    Raises:
        InvalidError: a name that is not allowed, or the archive holds none of the source's events any more.
        HTTPException: 404, no such source; 409, the name is taken, or there are too many names.
        UnavailableError: the store is unavailable.
    """
    current_id, events = examples_of(parts.sources, parts.archive, source_of(parts, source_id).id)
    sound = add(parts, name, events, change, all_sites=all_sites, by=by, source=current_id)
    parts.sources.keep(current_id)
    return sound


def of_source(parts: WebContext, source_id: str) -> list[NamedSound]:
    """Return the named sounds of a source, the oldest first.

    Raises:
        UnavailableError: the store is unavailable.
    """
    sounds = [one for one in parts.name_matcher.sounds(at_once=True).values() if one.source]
    return [one for one in sounds if (stored := parts.sources.get(one.source)) and stored.id == source_id]


def remove(parts: WebContext, sound_id: str) -> None:
    """Remove a named sound.

    Raises:
        HTTPException: 404, no such named sound.
        UnavailableError: the store is unavailable.
    """
    sound_of(parts, sound_id)
    forget(parts.names, parts.sources, sound_id)


def change(parts: WebContext, sound_id: str, wanted: Change, events: Sequence[str] | None = None) -> NamedSound:
    """Change a named sound.

    Args:
        parts: the hub's parts.
        sound_id: id of the named sound.
        wanted: the values to change.
        events: ids of all its examples from now on; None keeps them.

    Raises:
        InvalidError: a name or number of events that is not allowed.
        HTTPException: 404, no such named sound or event; 409, the name is taken.
        UnavailableError: the store is unavailable.
    """
    present = sound_of(parts, sound_id)
    ids = None if events is None else list(dict.fromkeys(events))
    for event in ids or ():
        if event not in present.examples:
            parts.name_matcher.check(get_event_or_404(parts.archive, event).space)
    try:
        sound = parts.names.change(sound_id, name=wanted.name, treatment=wanted.of, examples=ids)
    except NameTakenError as error:
        raise HTTPException(409, str(error)) from error
    parts.name_matcher.sounds(at_once=True)
    return sound


def name_event(parts: WebContext, event_id: str, name: str, mode: Mode, *, all_sites: bool = False) -> NamedSound:
    """Name a sound by one event, or add the event as an example to the sound that has this name at its site.

    Raises:
        HTTPException: as of `add` and `change`.
    """
    event, wanted = get_event_or_404(parts.archive, event_id), folded(tidy(name))
    known = parts.name_matcher.sounds(at_once=True).values()
    same = next((one for one in known if one.serves(event.site) and folded(one.name) == wanted), None)
    if same is None:
        return add(parts, name, [event_id], Change(mode=mode), all_sites=all_sites)
    return change(parts, same.id, Change(), [*same.examples, event_id])


def likely(parts: WebContext, event: StoredEvent) -> list[Likely]:
    """Return the named sounds that an event may be, the most likely first.

    Raises:
        UnavailableError: the store is unavailable.
    """
    if event.space not in parts.retrieval.spaces:
        return []
    return parts.name_matcher.likely([event], [parts.retrieval.embed(event.space, event.features)])[0]
