"""The returns of named sounds in the store; the keys are in `hub.store.keys`.

They are written with the conclusion of events (`hub.store.episodes`), in its transaction. Field `name` of an event's
hash then is the id of its named sound.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from hub.domain.named_returns import NameLog, Return, Returns
from hub.store import keys
from hub.store.json_rows import Record, encode
from hub.store.rows import Rows

_RETURN: Final = Record(Return)


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
    read = {pair: rows.read("returns", " ".join(pair), decode_returns, row) for pair, row in stored}
    return {pair: returns for pair, returns in read.items() if returns is not None}


def queue_names(pipe: Any, names: NameLog) -> None:  # noqa: ANN401
    """Keep what changed in the returns, and which events have names."""
    for (place, sound), returns in names.changed.items():
        pipe.hset(keys.named_sound_returns(place), sound, encode_returns(returns))
    for event, sound in names.names.items():
        pipe.hset(keys.event(event), "name", sound)


def encode_returns(returns: Returns) -> bytes:
    """Return the returns of a named sound at a sensor as a row."""
    kept = [_RETURN.values(one) for one in returns.kept]
    return encode({"times": returns.times, "clips": returns.clips, "fields": _RETURN.names, "kept": kept})


def decode_returns(row: bytes) -> Returns:
    """Return the returns of a named sound from their row.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    document = from_json(row)
    if isinstance(document, list):  # of an earlier hub
        document = dict(zip(("times", "clips", "kept"), document, strict=False))
    read = _RETURN.reader(document.get("fields"))
    kept = (read(values) for values in document["kept"])
    made = tuple(Return(int(r.from_ms), int(r.until_ms), int(r.clips), str(r.event), str(r.alert)) for r in kept)
    return Returns(int(document["times"]), int(document["clips"]), made)


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
            found = rows.read("returns", f"{place} {sound}", decode_returns, row)
            if found is not None:
                made[sound] = _together(made[sound], place, found)
    return made
