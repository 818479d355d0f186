"""Find the named sounds that events may be: names are in the store, identities of their examples in this process.

Each hub reads the counter of changes every `EVERY_S` seconds, and the names if it changed. The
identities of examples are made of their features, once each, by the checkpoints in use.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.episodes import CONTINUE_RATIO
from hub.domain.named_sounds import Example, Examples, Likely, NamedSound
from hub.domain.records import StoredEvent, to_ms
from hub.search.retrieval import Retrieval
from hub.store.named_sounds import NamedSounds
from shared.errors import InvalidError

EVERY_S: Final = 0.25

Identity = npt.NDArray[np.float32]


class NameMatcher:
    """Compares events with the examples of named sounds; safe to use from several threads.

    Args:
        names: the named sounds.
        retrieval: makes identities.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, names: NamedSounds, retrieval: Retrieval, now: Callable[[], float] = time.monotonic) -> None:
        self._names = names
        self._retrieval = retrieval
        self._scorers = {scorer.space.id: scorer for scorer in retrieval.scorers}
        self._now = now
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._version: bytes | None = None
        self._sounds: dict[str, NamedSound] = {}
        self._examples: dict[str, Examples] = {}
        self._made: dict[tuple[str, str], tuple[StoredEvent, Identity]] = {}

    def sounds(self, *, at_once: bool = False) -> dict[str, NamedSound]:
        """Return all named sounds by id, the oldest first.

        Args:
            at_once: whether to ask the store now, even if it was asked less than `EVERY_S` ago.

        Raises:
            UnavailableError: the store is away.
        """
        with self._lock:
            if at_once or self._now() >= self._look_at:
                self._look()
            return self._sounds

    def names_of(self, events: Sequence[str]) -> dict[str, NamedSound]:
        """Return the named sound of each event that has one.

        Raises:
            UnavailableError: the store is away.
        """
        sounds = self.sounds(at_once=True)
        if not sounds:
            return {}
        return {event: sounds[one] for event, one in self._names.of_events(events).items() if one in sounds}

    def likely(self, events: Sequence[StoredEvent], towers: Sequence[npt.NDArray[np.float32]]) -> list[list[Likely]]:
        """Return the named sounds that each event may be, the most probable first.

        A sound counts from `CONTINUE_RATIO` of its threshold.

        Args:
            events: n of them.
            towers: float32 [steps, width] of each, as of `Retrieval.embed`.

        Raises:
            UnavailableError: the store is away.
        """
        self.sounds()
        examples = self._examples
        made: list[list[Likely]] = [[] for _ in events]
        for space, own in examples.items():
            rows = [row for row, event in enumerate(events) if event.space == space]
            if not rows:
                continue
            scorer = self._scorers[space]
            same_source = partial(scorer.identities.same_source, match=False)
            for row, identity in zip(rows, scorer.identity(np.stack([towers[row] for row in rows])), strict=True):
                made[row] = own.likely(events[row].site, identity, same_source, CONTINUE_RATIO)
        return made

    def check(self, space: str) -> None:
        """Check that sounds of a feature space can have names.

        Raises:
            InvalidError: its checkpoint does not distinguish sources, or there is none.
        """
        if not self._retrieval.knows_sources(space):
            raise InvalidError(
                f"the checkpoint of feature space {space} has no identity, which distinguishes sources:"
                " its events cannot have names; use a checkpoint that has one"
            )

    def _look(self) -> None:
        """Read the names again if they changed."""
        version = self._names.version()
        if version != self._version:
            sounds = self._names.all()
            keys = [(one.id, event) for one in sounds.values() for event in one.examples]
            fresh = self._names.examples([key for key in keys if key not in self._made])
            made = {key: self._made[key] for key in keys if key in self._made} | self._identified(fresh)
            self._examples = _by_space(sounds, made)
            self._sounds, self._made, self._version = sounds, made, version
        self._look_at = self._now() + EVERY_S

    def _identified(
        self, events: dict[tuple[str, str], StoredEvent]
    ) -> dict[tuple[str, str], tuple[StoredEvent, Identity]]:
        """Events with their identities; those are left out whose feature space has none."""
        made: dict[tuple[str, str], tuple[StoredEvent, Identity]] = {}
        for space in filter(self._retrieval.knows_sources, {event.space for event in events.values()}):
            keys = [key for key, event in events.items() if event.space == space]
            scorer = self._scorers[space]
            identities = scorer.identity(scorer.embed(np.stack([events[key].features for key in keys])))
            made |= {key: (events[key], own) for key, own in zip(keys, identities, strict=True)}
        return made


def _by_space(
    sounds: dict[str, NamedSound], made: dict[tuple[str, str], tuple[StoredEvent, Identity]]
) -> dict[str, Examples]:
    """Return the examples of each feature space, in the order of the named sounds."""
    rows: dict[str, list[tuple[NamedSound, StoredEvent, Identity]]] = {}
    for sound in sounds.values():
        for event in sound.examples:
            if (sound.id, event) in made:
                own, identity = made[sound.id, event]
                rows.setdefault(own.space, []).append((sound, own, identity))
    return {
        space: Examples(
            [sound for sound, _, _ in own],
            [Example(str(event.id), event.place, to_ms(event.captured_at)) for _, event, _ in own],
            np.stack([identity for _, _, identity in own]),
        )
        for space, own in rows.items()
    }
