"""The search backend for more events than one process holds: the Redis Query Engine (RediSearch 2).

Each event is one hash beside the archive. The server keeps an index over the sketches and over what filters ask for,
and answers each search with the closest sketches; their towers come along and have the last word here. One index per
feature space and network, so that hubs with different networks share a server.

Decision: docs/decisions/0009. Source: https://redis.io/docs/latest/develop/ai/search-and-query/query/vector-search/.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from redis.exceptions import MovedError

from hub.domain.match import Match
from hub.domain.presence_matrix import level_of_similarity
from hub.search.backend import Exclusion, Filter, IndexEntry, Query, Towers
from hub.search.scoring.kept_places import without_kept_places
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import best
from hub.store import keys
from hub.store.client import UnfitStoreError, connect, meaning
from shared.errors import InvalidError, UnavailableError

_BATCH: Final = 1_000
"""Commands sent at once, so that neither side holds more than a few MB of them."""
_Command = tuple[str | bytes | int, ...]
_SPECIAL: Final = re.compile(r"[^a-zA-Z0-9]")
_NO_MODULE: Final = (
    "the search backend `redis` needs Redis 8, Redis Stack, or another Redis or Valkey with the RediSearch module "
    "(`loadmodule redisearch.so`): this server does not know FT.CREATE. Use such a server, or set "
    "`search.backend = memory`."
)
_CLUSTER: Final = (
    "redis.url is one node of a cluster, which the hub does not talk to: give the one address in front of all shards "
    "(Redis Enterprise has it), or a server that is no cluster, or set `search.backend = memory`."
)
_NO_SKETCH: Final = "this checkpoint has no sketch: teach one with `earwitness-hub checkpoint train-sketch`"


class RedisSearchBackend:
    """All events of one feature space, kept by a server with the query engine; a `Backend`.

    Args:
        url: as `redis.Redis.from_url` takes it; database 0.
        scorer: scores pairs of this space; its checkpoint has a sketch.
        candidates: how many of the closest sketches are scored exactly, at least 1.
        timeout_s: longest wait for one answer.

    Raises:
        InvalidError: no sketch, an address that is none, another database than 0, one node of a cluster, or a server
            without the query engine.
    """

    def __init__(
        self,
        url: str,
        scorer: Scorer,
        *,
        candidates: int,
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
    ) -> None:
        if scorer.sketch is None:
            raise InvalidError(_NO_SKETCH)
        self.scorer = scorer
        self._without_places = without_kept_places(scorer)
        self._sketch = scorer.sketch
        self._candidates = candidates
        # Longer than our own patience: past its limit (else 500 ms) the server answers "nothing", without an error.
        self._limit_ms = int(2_000 * timeout_s)
        self._name = keys.search_index(scorer.space.id, scorer.fingerprint)
        self._prefix = keys.vector(scorer.space.id, scorer.fingerprint, "")
        self._redis = connect(url, timeout_s, ca_file)
        try:
            with self._translated():
                self._create()
        except UnfitStoreError as error:
            raise InvalidError(str(error)) from error
        except UnavailableError:  # a server that is away is waited for, and asked again
            pass

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    def __len__(self) -> int:
        with self._translated():
            info = self._redis.execute_command("FT.INFO", self._name)
        return int(info[info.index(b"num_docs") + 1])

    def contains(self, events: Sequence[str]) -> list[bool]:
        """See `Backend.contains`.

        Raises:
            UnavailableError: the server does not answer.
        """
        return [bool(there) for there in self._pipelined(("EXISTS", self._prefix + event) for event in events)]

    def add(self, entries: Sequence[IndexEntry], towers: Towers) -> None:
        """See `Backend.add`.

        Raises:
            UnavailableError: the server does not answer; some events may be kept, and adding all again is safe.
        """
        there = self.contains([entry.event for entry in entries])
        new = list({entry.event: i for i, entry in enumerate(entries) if not there[i]}.values())
        if not new:
            return
        sketches = self._sketch.of_events(towers[new])
        halves = towers[new].astype(np.float16)
        self._pipelined(
            ("HSET", self._prefix + entries[i].event, *_hash(entries[i], halves[row], sketches[row]))
            for row, i in enumerate(new)
        )

    def remove(self, events: Iterable[str]) -> None:
        """See `Backend.remove`.

        Raises:
            UnavailableError: the server does not answer; some events may be gone, and removing all again is safe.
        """
        self._pipelined(("DEL", self._prefix + event) for event in events)

    def search(self, queries: Sequence[Query]) -> list[list[Match]]:
        """See `Backend.search`; exact among the `candidates` closest sketches, or more if more matches are wanted.

        Raises:
            UnavailableError: the server does not answer, or not in time.
        """
        asked = [i for i, query in enumerate(queries) if not _matches_nothing(query.filter)]
        if not asked:
            return [[] for _ in queries]
        closest = self._candidates
        sketches = [self._of_query(queries[i]) for i in asked]
        answers = iter(
            self._pipelined(
                self._command(queries[i], own[0], closest)
                for i, some in zip(asked, sketches, strict=True)
                for own in some
            )
        )
        found: list[list[Match]] = [[] for _ in queries]
        for i, some in zip(asked, sketches, strict=True):
            found[i] = self._best(queries[i], [next(answers) for _ in some])
        return found

    def _scorer_of(self, query: Query) -> Scorer:
        return self.scorer if query.keep_place else self._without_places

    def _of_query(self, query: Query) -> list[npt.NDArray[np.float32]]:
        """Return the sketch of a query, or two: float32 [1, width] each."""
        sketch = self._scorer_of(query).sketch or self._sketch
        return sketch.of_queries(query.towers[None], query.by)

    def _command(self, query: Query, sketch: npt.NDArray[np.float32], candidates: int) -> _Command:
        """One FT.SEARCH; excluded events may be among what it finds, so it asks for as many more."""
        most = max(query.k, candidates) + len(query.exclusion.events)
        text = f"({_clauses(query.filter, query.exclusion)})=>[KNN {most} @sketch $q AS distance]"
        asked = ("FT.SEARCH", self._name, text, "PARAMS", 2, "q", np.asarray(sketch, dtype="<f4").tobytes())
        return (
            *asked,
            *("RETURN", 3, "place", "captured", "towers"),
            *("LIMIT", 0, most, "TIMEOUT", self._limit_ms, "DIALECT", 2),
        )

    def _best(self, query: Query, answers: Sequence[list[Any]]) -> list[Match]:
        """Return the best of what the server found, in one or two answers, by their exact ranks."""
        known: dict[str, tuple[str, str, int, bytes]] = {}
        for key, values in (pair for answer in answers for pair in zip(answer[1::2], answer[2::2], strict=True)):
            event = key.decode()[len(self._prefix) :]
            got = dict(zip(values[::2], values[1::2], strict=True)) if values else {}
            if event not in query.exclusion.events and b"towers" in got:  # without: removed meanwhile
                known[event] = (event, got[b"place"].decode(), int(got[b"captured"]), got[b"towers"])
        rows = sorted(known.values(), key=lambda row: -row[2])
        shape = (len(rows), *self.scorer.tower_shape)
        towers = np.frombuffer(b"".join(row[3] for row in rows), dtype="<f2").reshape(shape)
        found = best(self._scorer_of(query), query.towers, towers, query.k, by=query.by)
        levels = level_of_similarity(found.matrices)
        return [
            Match(
                event=rows[row][0],
                place=rows[row][1],
                captured_ms=rows[row][2],
                level=float(levels[i]),
                rank=float(found.ranks[i]),
                matrix=found.matrices[i],
                identity=float(found.cosines[i]),
                kind=float(found.kind[i]),
                stands_out=bool(found.outstanding[i]),
            )
            for i, row in enumerate(found.rows)
        ]

    def _pipelined(self, commands: Iterable[_Command]) -> list[Any]:
        """Answers of many commands, in few round trips."""
        answers: list[Any] = []
        pipe = self._redis.pipeline(transaction=False)
        with self._translated():
            for command in commands:
                pipe.execute_command(*command)
                if len(pipe) >= _BATCH:
                    answers += pipe.execute()
            return answers + list(pipe.execute())

    def _create(self) -> None:
        """Make the search index unless it is there; a second hub finds it there."""
        try:
            self._redis.execute_command(
                *("FT.CREATE", self._name, "ON", "HASH", "PREFIX", 1, self._prefix, "SCHEMA"),
                *("sketch", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", self._sketch.width),
                *("DISTANCE_METRIC", "IP"),
                *("place", "TAG", "CASESENSITIVE", "captured", "NUMERIC", "laeq", "NUMERIC", "category", "TAG"),
            )
        except redis.ResponseError as error:
            message = str(error).lower()
            if "already exists" in message:
                return
            if "unknown command" in message:
                raise InvalidError(_NO_MODULE) from error
            if "db != 0" in message:
                raise InvalidError("the query engine serves database 0 only: end redis.url with /0") from error
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's errors into ours; a search index that the server lost is made again."""
        try:
            yield
        except MovedError as error:
            raise UnfitStoreError(_CLUSTER) from error
        except redis.RedisError as error:
            if _lost(error):
                with self._translated():
                    self._create()
                raise UnavailableError("the query engine: its search index was lost and is made again now") from error
            raise meaning(error, "the query engine") from error


def _lost(error: redis.RedisError) -> bool:
    """Return whether the server reports that it has no such search index."""
    message = str(error).lower()
    return "no such index" in message or "unknown index name" in message


def _hash(
    entry: IndexEntry, towers: npt.NDArray[np.float16], sketch: npt.NDArray[np.float32]
) -> Iterator[str | bytes | int]:
    """Fields and values of an event's hash."""
    yield from ("sketch", np.asarray(sketch, dtype="<f4").tobytes())
    yield from ("towers", np.asarray(towers, dtype="<f2").tobytes())
    yield from ("presence", np.asarray(entry.presence, dtype="<f4").tobytes())
    yield from ("place", entry.place, "captured", entry.captured_ms, "laeq", _number(entry.laeq))
    if categories := entry.categories():
        yield from ("category", ",".join(str(category) for category in categories))


def _matches_nothing(wanted: Filter) -> bool:
    """Return whether a filter lets nothing pass, whatever there is."""
    return wanted.places == frozenset() or wanted.categories == frozenset()


def _clauses(wanted: Filter, exclusion: Exclusion) -> str:
    """Return the filter on events in the engine's query language."""
    parts = []
    if wanted.since_ms is not None or wanted.until_ms is not None:
        since = "-inf" if wanted.since_ms is None else wanted.since_ms
        until = "+inf" if wanted.until_ms is None else wanted.until_ms
        parts.append(f"@captured:[{since} {until}]")
    if wanted.places is not None:
        parts.append(_any_of("place", sorted(wanted.places)))
    if wanted.categories is not None:
        parts.append(_any_of("category", [str(category) for category in sorted(wanted.categories)]))
    if wanted.min_laeq is not None:
        parts.append(f"@laeq:[{_number(wanted.min_laeq)} +inf]")
    if exclusion.place is not None:
        first, last = exclusion.around_ms - exclusion.within_ms, exclusion.around_ms + exclusion.within_ms
        parts.append(f"-({_any_of('place', [exclusion.place])} @captured:[{first} {last}])")
    return " ".join(parts) or "*"


def _any_of(field: str, values: Sequence[str]) -> str:
    """Return a clause: the tag is one of these; everything but letters and digits is escaped."""
    escaped = (_SPECIAL.sub(lambda found: "\\" + found[0], value) for value in values)
    return f"@{field}:{{{'|'.join(escaped)}}}"


def _number(value: float) -> str:
    """Return a number as the query language reads it: without an exponent, and exactly this float."""
    return np.format_float_positional(value, trim="-")
