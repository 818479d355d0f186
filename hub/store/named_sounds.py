"""Named sounds in the store, with copies of their examples, which therefore outlast the events themselves.

Retention removes the events that are examples like all others: the copies keep their features and levels, and a copy
of their sound lies in the folder `_named` of the clips. Identities are made of the features by the checkpoint in use,
so that a new checkpoint needs nothing.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import redis
from pydantic import TypeAdapter

from hub.domain.named_sounds import EXAMPLES_LIMIT, NamedSound, Treatment, check_room, tidy
from hub.domain.records import StoredEvent
from hub.store import keys
from hub.store.audio_files import AudioFileStore
from hub.store.client import raises_unavailable
from hub.store.codec import FIELDS, from_redis_hash, to_redis_hash
from hub.store.events import EventStore
from hub.store.json_rows import encode
from hub.store.name_returns import NameOccurrences, occurrences_of
from shared.errors import InvalidError, UnavailableError

log = logging.getLogger(__name__)

_SOUND: Final = TypeAdapter(NamedSound)
BY_LIMIT: Final = 64


class NamedSounds:
    """Keeps named sounds in the archive's store; safe to use from several threads.

    Args:
        archive: whose store is used, and whose events become examples.
        clips: where sound is kept; None if none is.
    """

    def __init__(self, archive: EventStore, clips: AudioFileStore | None) -> None:
        self._archive = archive
        self._redis = archive.client
        self._rows = archive.rows
        self._clips = clips

    @raises_unavailable
    def version(self) -> bytes:
        """Return the version, which every change of a name by any hub changes."""
        return bytes(self._redis.get(keys.NAMED_SOUNDS_VERSION) or b"")

    @raises_unavailable
    def all(self) -> dict[str, NamedSound]:
        """Return all named sounds by id, the oldest first."""
        return self._read(self._redis.hgetall(keys.NAMED_SOUNDS))

    def _read(self, rows: Mapping[bytes, bytes]) -> dict[str, NamedSound]:
        read = [self._rows.read("name", key.decode(), _SOUND.validate_json, row) for key, row in rows.items()]
        return {one.id: one for one in sorted(filter(None, read), key=lambda one: (one.made_ms, one.id))}

    @raises_unavailable
    def examples(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredEvent]:
        """Return copies of readable examples, by the id of the named sound and of the event."""
        wanted = list(pairs)
        pipe = self._redis.pipeline(transaction=False)
        for sound, event in wanted:
            pipe.hmget(keys.named_sound_example(sound, event), FIELDS)
        rows = zip(wanted, pipe.execute(), strict=True)
        read = {key: self._rows.read("example", key[1], partial(from_redis_hash, key[1]), row) for key, row in rows}
        return {key: event for key, event in read.items() if event is not None}

    def add(
        self,
        name: str,
        events: Sequence[str],
        *,
        site: str | None = None,
        treatment: Treatment | None = None,
        by: str = "",
        now_ms: int = 0,
        source: str = "",
    ) -> NamedSound:
        """Name a sound by events of the archive.

        Args:
            name: 1 to 60 printable characters; spaces around it are taken away.
            events: ids of 1 to 5 events.
            site: where it is looked for, `ALL_SITES` for everywhere; by default, where the events are.
            treatment: how it is treated; by default its events show the name.
            by: who names it.
            now_ms: the time.
            source: id of the source that the events are of, if it is known.

        Raises:
            InvalidError: a name that is not allowed or given already, an event that is not there, or too many of
                either.
            UnavailableError: the store is away.
        """
        found = self._events(events)
        sites = sorted({event.site for event in found})
        if site is None and len(sites) > 1:
            raise InvalidError(
                f"the events are of the sites {', '.join(sites)}: name the site, or name it for all sites"
            )
        sound = NamedSound(
            id=secrets.token_hex(4),
            name=tidy(name),
            site=sites[0] if site is None else site,
            examples=tuple(str(event.id) for event in found),
            treatment=treatment or Treatment(),
            author=" ".join(by.split())[:BY_LIMIT],
            made_ms=now_ms,
            source=source,
        )
        return self._put(sound.id, lambda _none: sound, found)

    def change(
        self,
        sound: str,
        *,
        name: str | None = None,
        treatment: Callable[[Treatment], Treatment] = lambda before: before,
        examples: Sequence[str] | None = None,
    ) -> NamedSound:
        """Change a named sound.

        Args:
            sound: its id.
            name: another name.
            treatment: makes another treatment of the present one.
            examples: all that it has from now on: events of the archive, and examples that it has.

        Raises:
            InvalidError: there is no such sound, or what `add` refuses.
            UnavailableError: the store is away.
        """
        present = self._one(sound)
        fresh = self._events([event for event in examples or () if event not in present.examples], least=0)
        known = {*present.examples, *(str(event.id) for event in fresh)}
        wanted = None if examples is None else tuple(event for event in examples if event in known)

        def changed(before: NamedSound | None) -> NamedSound:
            if before is None:
                raise _none(sound)
            return replace(
                before,
                name=before.name if name is None else tidy(name),
                treatment=treatment(before.treatment),
                examples=before.examples if wanted is None else wanted,
            )

        return self._put(sound, changed, fresh)

    @raises_unavailable
    def remove(self, sound: str) -> NamedSound:
        """Forget a named sound, with its examples and returns.

        Raises:
            InvalidError: there is no such sound.
            UnavailableError: the store is away.
        """
        present = self._one(sound)
        places = self._places()
        with self._redis.pipeline(transaction=False) as pipe:  # a full store refuses transactions
            pipe.hdel(keys.NAMED_SOUNDS, sound)
            for place in places:
                pipe.hdel(keys.named_sound_returns(place), sound)
            for event in present.examples:
                pipe.delete(keys.named_sound_example(sound, event))
            pipe.execute()
        self._note_change()
        self._remove_clips(sound, present.examples)
        return present

    def _note_change(self) -> None:
        """Have all hubs read the names again; if the store is full, they do so at the next change."""
        try:
            self._redis.incr(keys.NAMED_SOUNDS_VERSION)
        except redis.ResponseError as error:
            log.warning("the other hubs do not read a change of names yet", extra={"reason": str(error)})

    @raises_unavailable
    def occurrences(self, sounds: Iterable[str]) -> dict[str, NameOccurrences]:
        """Return the occurrences of some named sounds over all places."""
        return occurrences_of(self._redis, self._rows, list(sounds), self._places())

    def _places(self) -> list[str]:
        return sorted(place.decode() for place in self._redis.smembers(keys.SENSORS))

    @raises_unavailable
    def of_events(self, events: Sequence[str]) -> dict[str, str]:
        """Return the id of the named sound of each event that has one."""
        if not events:
            return {}
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hget(keys.event(event), "name")
        return {event: row.decode() for event, row in zip(events, pipe.execute(), strict=True) if row}

    @raises_unavailable
    def _one(self, sound: str) -> NamedSound:
        found = self._read({sound.encode(): row} if (row := self._redis.hget(keys.NAMED_SOUNDS, sound)) else {})
        if sound not in found:
            raise _none(sound)
        return found[sound]

    def _events(self, wanted: Sequence[str], least: int = 1) -> list[StoredEvent]:
        """Events of the archive, each once."""
        ids = list(dict.fromkeys(wanted))
        if not least <= len(ids) <= EXAMPLES_LIMIT:
            raise InvalidError(f"a named sound has 1 to {EXAMPLES_LIMIT} examples, not {len(ids)}")
        found = {str(event.id): event for event in self._archive.fetch(ids)}
        if missing := [event for event in ids if event not in found]:
            raise InvalidError(f"no event {', '.join(missing)} in the archive: name a sound by events that are there")
        return [found[event] for event in ids]

    @raises_unavailable
    def _put(
        self, key: str, make: Callable[[NamedSound | None], NamedSound], fresh: Sequence[StoredEvent]
    ) -> NamedSound:
        """Write a named sound and new examples of it: all of it or nothing.

        Args:
            key: its id.
            make: what is to be there, of what is there; called again if names changed meanwhile.
            fresh: events that become examples.
        """
        kept: list[StoredEvent] = []
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(keys.NAMED_SOUNDS)
                    before = self._read(pipe.hgetall(keys.NAMED_SOUNDS))
                    made = make(before.get(key))
                    check_room(made, before.values())
                    kept = kept or [replace(event, clip=self._keep_clip(key, event)) for event in fresh]
                    old = set(before[key].examples) - set(made.examples) if key in before else set[str]()
                    pipe.multi()
                    pipe.hset(keys.NAMED_SOUNDS, key, encode(_SOUND.dump_python(made, mode="json")))
                    for event in kept:
                        pipe.hset(keys.named_sound_example(key, str(event.id)), mapping=to_redis_hash(event))
                        pipe.hset(keys.event(str(event.id)), "name", key)
                    for gone in sorted(old):
                        pipe.delete(keys.named_sound_example(key, gone))
                    pipe.incr(keys.NAMED_SOUNDS_VERSION)
                    pipe.execute()
                except redis.WatchError:
                    continue
                except InvalidError:
                    self._remove_clips(key, [str(event.id) for event in kept])
                    raise
                self._remove_clips(key, old)
                return made

    def _keep_clip(self, sound: str, event: StoredEvent) -> str:
        """Copy an event's sound: the copy's path, or "" without; a disk that fails does not keep a name from it.

        Sealed sound is not copied: retention must remove it.
        """
        if self._clips is None or not event.clip or event.sealed_to:
            return ""
        try:
            return self._clips.copy(event.clip, _clip(sound, str(event.id)))
        except UnavailableError as error:
            log.warning("an example is kept without its sound", extra={"event": str(event.id), "reason": str(error)})
            return ""

    def _remove_clips(self, sound: str, events: Iterable[str]) -> None:
        if self._clips is None:
            return
        for event in events:
            try:
                self._clips.remove(_clip(sound, event))
            except UnavailableError as error:
                log.warning("the sound of an example is left behind", extra={"event": event, "reason": str(error)})


def _none(sound: str) -> InvalidError:
    return InvalidError(f"no sound has the id {sound!r}")


def _clip(sound: str, event: str) -> str:
    return f"_named/{sound}/{event}.flac"
