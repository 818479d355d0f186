"""Named sounds: which event is a sound that a person gave a name to.

A person names a sound by one to five example events. The identity of an event (`hub.model.identity`) is compared with
the identity of each example in the same feature space:

1. P(same source) of an event and a named sound is that of the event and the sound's closest example. It is read from
   the calibration of any two clips: a person chose the example, no search did.
2. A named sound is recognised from its own threshold on. While it goes on at a place, `CONTINUE_RATIO` of the
   threshold is enough, as for the categories of an episode: one clip in which it is less clear does not end it.
3. An event has at most one name: of the recognised sounds, the one with the highest P(same source).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hub.domain.episodes import CONTINUE_RATIO
from shared.errors import InvalidError
from shared.events import check_name
from shared.messages.alert import Severity

Mode = Literal["shown", "watched", "muted"]
"""Treatment of a named sound: `shown` only names events; `watched` raises an alert whenever it returns; `muted`
raises none."""

MODES: Final[tuple[Mode, ...]] = ("shown", "watched", "muted")
SEVERITIES: Final[tuple[Severity, ...]] = ("notice", "recurring", "urgent")
NAME_LIMIT: Final = 60
"""Most characters of a name."""
_HIDDEN: Final = r"\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\uffff"
NAME_FORM: Final = rf"^[^\s{_HIDDEN}]([^{_HIDDEN}]*[^\s{_HIDDEN}])?$"
"""Regular expression of a name: printable, without spaces at its ends. Source: Unicode 15.1, categories Cc, Cf, Zl,
Zp, as far as they are in use."""
EXAMPLES_LIMIT: Final = 5
"""Most examples of a named sound."""
SITE_LIMIT: Final = 200
"""Most named sounds that are looked for at one site."""
ALL_SITES: Final = ""
THRESHOLD: Final = 0.5
"""P(same source) that a new named sound needs: more likely than not."""

SameSource = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""From cosines float32 [n] to P(same source) float32 [n]."""


class NameTakenError(InvalidError):
    """A name that is given already, or for which there is no room."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """The treatment of a named sound when it is detected.

    Attributes:
        mode: how an event of this name is treated.
        threshold: P(same source) from which an event has this name, in [0, 1].
        severity: of the alerts that a watched name raises.

    Raises:
        InvalidError: a value that there is not, or out of range.
    """

    mode: Mode = "shown"
    threshold: float = THRESHOLD
    severity: Severity = "recurring"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidError(f"unknown mode {self.mode!r}; there are {', '.join(MODES)}")
        if not 0.0 <= self.threshold <= 1.0:
            raise InvalidError(f"threshold {self.threshold}: P(same source) is in [0, 1]")
        if self.severity not in SEVERITIES:
            raise InvalidError(f"unknown severity {self.severity!r}; there are {', '.join(SEVERITIES)}")


@dataclass(frozen=True, slots=True)
class NamedSound:
    """A sound with a name.

    Attributes:
        id: eight hexadecimal digits.
        name: given by a person, 1 to 60 printable characters.
        site: where it is looked for; `ALL_SITES` for everywhere.
        examples: ids of 1 to 5 events.
        treatment: how its events are treated.
        by: who named it; "" if unknown.
        made_ms: when, ms since 1970 UTC.
        source: id of the source that the name was given to; "" if it was given to events.

    Raises:
        InvalidError: a name or a number of examples that is not allowed.
    """

    id: str
    name: str
    site: str
    examples: tuple[str, ...]
    treatment: Treatment = field(default_factory=Treatment)
    author: str = ""
    made_ms: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if tidy(self.name) != self.name:
            raise InvalidError(f"name {self.name!r} has spaces that a tidy name does not have")
        if self.site:
            check_name(self.site, "site")
        if not 1 <= len(self.examples) <= EXAMPLES_LIMIT:
            raise InvalidError(f"a named sound has 1 to {EXAMPLES_LIMIT} examples, not {len(self.examples)}")
        if len(set(self.examples)) < len(self.examples):
            raise InvalidError("an event is given twice as an example")

    def serves(self, site: str) -> bool:
        """Return whether the hub searches it at a site."""
        return self.site in {ALL_SITES, site}


def tidy(name: str) -> str:
    """Return a name without spaces around it, and with single ones within it.

    Raises:
        InvalidError: it is empty, too long, or has characters that cannot be printed.
    """
    name = name.strip()
    surrogates = any("\ud800" <= one <= "\udfff" for one in name)  # of a command line in another encoding
    if len(name) > NAME_LIMIT or surrogates or not re.fullmatch(NAME_FORM, name):
        raise InvalidError(f"{name[:NAME_LIMIT]!r} is no name: write 1 to {NAME_LIMIT} printable characters")
    return " ".join(name.split())


def folded(name: str) -> str:
    """Return what names are compared by: capitals make no difference."""
    return unicodedata.normalize("NFKC", name).casefold()


def check_room(sound: NamedSound, others: Iterable[NamedSound]) -> None:
    """Check that a named sound can be beside the others.

    A name stands for one sound at each site; one for all sites counts at each of them.

    Args:
        sound: new or changed.
        others: all that there are; one of the same id is left aside.

    Raises:
        NameTakenError: its name is given already, or there are too many.
    """
    beside = [
        other
        for other in others
        if other.id != sound.id and (other.site == sound.site or ALL_SITES in {other.site, sound.site})
    ]
    twin = next((other for other in beside if folded(other.name) == folded(sound.name)), None)
    if twin is not None:
        where = f"at {twin.site}" if twin.site else "at all sites"
        raise NameTakenError(
            f"{twin.name!r} is the name of another sound {where}: choose another name, or change that one"
        )
    if len(beside) >= SITE_LIMIT:
        raise NameTakenError(f"{SITE_LIMIT} sounds have names here, which is the most: remove one that is not needed")


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a named sound, with what alerts show of it."""

    event: str
    place: str
    captured_ms: int


@dataclass(frozen=True, slots=True)
class Likely:
    """A named sound that an event may be.

    Attributes:
        sound: the named sound.
        probability: P(same source) of the event and the sound's closest example, in [0, 1].
        example: the closest one.
    """

    sound: NamedSound
    probability: float
    example: Example


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """All examples of one feature space.

    Attributes:
        sounds: the named sound of each example, n of them; those of one sound follow each other.
        examples: n of them.
        identities: unit vectors, float32 [n, values].
    """

    sounds: Sequence[NamedSound]
    examples: Sequence[Example]
    identities: npt.NDArray[np.float32]

    def likely(
        self, site: str, identity: npt.NDArray[np.float32], same_source: SameSource, least: float = 0.0
    ) -> list[Likely]:
        """Return the named sounds that an event of a site may be, the most probable first; equals in their order.

        Args:
            site: of the event.
            identity: of the event, float32 [values].
            same_source: the calibration.
            least: share of its threshold that a sound must reach to be returned, in [0, 1].
        """
        if not len(self.sounds) or self.identities.shape[1:] != identity.shape:
            return []
        cosines = self.identities @ identity
        closest: dict[str, int] = {}
        for row, sound in enumerate(self.sounds):
            if sound.serves(site) and (sound.id not in closest or cosines[row] > cosines[closest[sound.id]]):
                closest[sound.id] = row
        rows = list(closest.values())
        probabilities = same_source(cosines[rows]).tolist() if rows else []
        probable = [
            Likely(self.sounds[row], p, self.examples[row])
            for row, p in zip(rows, probabilities, strict=True)
            if p >= least * self.sounds[row].treatment.threshold
        ]
        return sorted(probable, key=lambda one: -one.probability)


def recognised(likely: Sequence[Likely], goes_on: Callable[[str], bool] = lambda _id: False) -> Likely | None:
    """Return the named sound that an event is, or None.

    Args:
        likely: those that it may be, the most probable first.
        goes_on: whether the sound of an id goes on at the event's place.
    """
    for one in likely:
        needed = one.sound.treatment.threshold
        if one.probability >= needed or (one.probability >= CONTINUE_RATIO * needed and goes_on(one.sound.id)):
            return one
    return None


def find(sounds: Mapping[str, NamedSound], wanted: str, site: str | None = None) -> NamedSound:
    """Return the named sound of an id or a name.

    Args:
        sounds: all, by id.
        wanted: an id, or a name in any capitals.
        site: where it is looked for; any site if None.

    Raises:
        InvalidError: none, or more than one.
    """
    if wanted in sounds:
        return sounds[wanted]
    found = [
        one
        for one in sounds.values()
        if folded(one.name) == folded(" ".join(wanted.split())) and (site is None or one.serves(site))
    ]
    if not found:
        where = "" if site is None else f" at {site}"
        raise InvalidError(f"no sound has the name or id {wanted!r}{where}")
    if len(found) > 1:
        raise InvalidError(f"{wanted!r} is a name at {', '.join(sorted(one.site for one in found))}: name the site")
    return found[0]
