"""The returns of named sounds in the store; the keys are in `hub.store.keys`.

They are written with the conclusion of events (`hub.store.episodes`), in its transaction. Field `name` of an event's
hash then is the id of its named sound.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from hub.domain.named_returns import NameLog, Return, Returns
from hub.store import keys
from hub.store.rows import Rows


@dataclass(frozen=True, slots=True)
class NameOccurrences:
    """The occurrences of a named sound over all places.

    Attributes:
        times: its returns.
        clips: its clips.
        place: where it was detected last; "" if nowhere yet.
        last: its latest return there.
    """

    times: int = 0
    clips: int = 0
    place: str = ""
    last: Return | None = None


def load_returns(client: Any, rows: Rows, named: Mapping[str, Collection[str]]) -> dict[tuple[str, str], Returns]:  # noqa: ANN401
    """Return the stored returns of named sounds, by place and id of the named sound.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
        named: ids of named sounds by place.
    """
    pairs = [(place, sound) for place, sounds in named.items() for sound in sounds]
    pipe = client.pipeline(transaction=False)
    for place, sound in pairs:
        pipe.hget(keys.named_sound_returns(place), sound)
    stored = zip(pairs, pipe.execute(), strict=True)
    read = {pair: rows.read("returns", " ".join(pair), returns_of, row) for pair, row in stored}
    return {pair: returns for pair, returns in read.items() if returns is not None}


def queue_names(pipe: Any, names: NameLog) -> None:  # noqa: ANN401
    """Keep what changed in the returns, and which events have names."""
    for (place, sound), returns in names.changed.items():
        pipe.hset(keys.named_sound_returns(place), sound, to_json(_document(returns)))
    for event, sound in names.names.items():
        pipe.hset(keys.event(event), "name", sound)


def returns_of(row: bytes) -> Returns:
    """Parse returns from their row.

    Raises:
        ValueError: the row is something else.
    """
    times, clips, kept = from_json(row)[:3]
    made = [Return(int(one[0]), int(one[1]), int(one[2]), str(one[3]), str(one[4])) for one in kept]
    return Returns(int(times), int(clips), tuple(made))


def _document(returns: Returns) -> list[object]:
    kept = [[one.from_ms, one.until_ms, one.clips, one.event, one.alert] for one in returns.kept]
    return [returns.times, returns.clips, kept]


def _together(before: NameOccurrences, place: str, own: Returns) -> NameOccurrences:
    later = own.last is not None and (before.last is None or own.last.until_ms > before.last.until_ms)
    return NameOccurrences(
        before.times + own.times,
        before.clips + own.clips,
        place if later else before.place,
        own.last if later else before.last,
    )


def occurrences_of(
    client: Any,  # noqa: ANN401 - the client is untyped
    rows: Rows,
    sounds: Sequence[str],
    places: Sequence[str],
) -> dict[str, NameOccurrences]:
    """Return the occurrences of some named sounds at some places, taken together."""
    made = dict.fromkeys(sounds, NameOccurrences())
    if not made:
        return made
    pipe = client.pipeline(transaction=False)
    for place in places:
        pipe.hmget(keys.named_sound_returns(place), list(made))
    for place, own in zip(places, pipe.execute(), strict=True):
        for sound, row in zip(made, own, strict=True):
            found = rows.read("returns", f"{place} {sound}", returns_of, row)
            if found is not None:
                made[sound] = _together(made[sound], place, found)
    return made
