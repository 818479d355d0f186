"""Sources and their episodes as rows of the store; see `hub.store.sources`."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic_core import from_json

from hub.domain.sources import Centre, Member, Source, Vector
from hub.store.json_rows import encode, merged_into
from shared.taxonomy import CATEGORIES

_STEPS: Final = 127
"""Identities are multiples of 1 / 127, so that a signed byte holds a value. Source: `hub.model.identity`."""
_MEMBER: Final = itemgetter("source", "centre", "clip", "network", "identity", "probability", "fixed")
_CENTRE: Final = itemgetter("id", "total", "size")


class Group(NamedTuple):
    """The group within which sources are compared."""

    site: str
    category: str
    space: str


@dataclass(frozen=True, slots=True, eq=False)
class StoredSource:
    """A source as it is kept.

    Attributes:
        source: with identities of `network`.
        group: its site, category and feature space.
        network: fingerprint of the checkpoint that made the identities.
        first_ms: when its first episode opened, ms since 1970 UTC; that may have been removed since.
        episodes: how many of its episodes are kept.
    """

    source: Source
    group: Group
    network: str
    first_ms: int
    episodes: int = 0

    @property
    def id(self) -> str:
        """Ten hexadecimal digits."""
        return self.source.id


class StoredMember(NamedTuple):
    """An episode as it was filed, and the fingerprint of the checkpoint that made its identity."""

    member: Member
    network: str


def source_row(stored: StoredSource) -> bytes:
    """Return a source as JSON; whether it is kept and how many episodes it has stands elsewhere."""
    source = stored.source
    return encode(
        {
            **stored.group._asdict(),
            "network": stored.network,
            "first_ms": stored.first_ms,
            "last_ms": source.last_ms,
            "apart": sorted(source.apart),
            "centres": [
                {"id": c.id, "total": _text(c.total.astype("<f4").tobytes()), "size": c.size} for c in source.centres
            ],
        }
    )


@lru_cache(maxsize=4096)
def source_or_name(name: str, row: bytes) -> StoredSource | str:
    """Parse a source, or the name of the one that it became a part of, from its row.

    Rows that were read lately are not read again: each filing reads all sources of a group, and few of them changed.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    values = from_json(row)
    if (into := merged_into(values)) is not None:
        return into
    group = Group(values["site"], values["category"], values["space"])
    centres = tuple(
        Centre(own, np.frombuffer(b64decode(total), dtype="<f4").astype(np.float32), int(size))
        for own, total, size in map(_centre, values["centres"])
    )
    if group.category not in CATEGORIES or not centres or any(c.size < 1 for c in centres):
        raise ValueError("no source")
    source = Source(name, centres, int(values["last_ms"]), frozenset(values["apart"]))
    return StoredSource(source, group, values["network"], int(values["first_ms"]))


def member_row(stored: StoredMember) -> bytes:
    """Return an episode of a source as JSON."""
    member = stored.member
    identity = np.rint(member.identity * _STEPS).astype(np.int8).tobytes()
    return encode(
        {
            "source": member.source,
            "centre": member.centre,
            "clip": member.clip,
            "network": stored.network,
            "identity": _text(identity),
            "probability": round(member.probability, 4),
            "fixed": member.fixed,
        }
    )


def member_of(episode: str, row: bytes) -> StoredMember:
    """Return an episode of a source from its row.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    document = from_json(row)
    if isinstance(document, list):  # of an earlier hub
        source, centre, clip, network, identity, probability, fixed = document[:7]
    else:
        source, centre, clip, network, identity, probability, fixed = _MEMBER(document)
    values: Vector = np.frombuffer(b64decode(identity), dtype=np.int8).astype(np.float32) / np.float32(_STEPS)
    member = Member(episode, source, centre, clip, values, float(probability), bool(fixed))
    return StoredMember(member, network)


def _centre(fields: Any) -> tuple[str, str, int]:  # noqa: ANN401 - any JSON value
    """Return id, sum and size of a centre; earlier hubs kept them as a list."""
    own, total, size = fields[:3] if isinstance(fields, list) else _CENTRE(fields)
    return own, total, size


def _text(data: bytes) -> str:
    return b64encode(data).decode()
