"""Search backend for more events than one process holds: the Redis Query Engine (RediSearch 2).

Each event is one hash besides the archive. The server keeps an index over the sketches and the fields of filters. It
answers a search with the closest sketches and their towers, which this module scores exactly. There is one index per
feature space and network, so that hubs with different networks can share a server.

Decision: docs/decisions/0009. Source: https://redis.io/docs/latest/develop/ai/search-and-query/query/vector-search/.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import best
from hub.store import keys
from hub.store.client import UnfitStoreError, connect, meaning
from shared.errors import InvalidError, UnavailableError

_BATCH: Final = 1_000
"""Commands sent at once, so that client and server hold at most a few MB of them."""
_Command = tuple[str | bytes | int, ...]
_SPECIAL: Final = re.compile(r"[^a-zA-Z0-9]")
_NO_MODULE: Final = (
    "the search backend `engine` needs Redis 8, Redis Stack, or another Redis or Valkey with the RediSearch module "
    "(`loadmodule redisearch.so`): this server does not know FT.CREATE. Use such a server, or set "
    "`search.backend = memory`."
)
_CLUSTER: Final = (
    "redis.url is one node of a cluster, which the hub does not support: use the one address in front of all shards "
    "(Redis Enterprise has it), use a server that is no cluster, or set `search.backend = memory`."
)
_NO_SKETCH: Final = "this checkpoint has no sketch: train one with `earwitness-hub checkpoint train-sketch`"


class RedisSearchBackend:
    """Keeps all events of one feature space on a server with the query engine; a `Backend`.

    Args:
        url: address, as for `redis.Redis.from_url`; database 0.
        scorer: scores pairs of this space; its checkpoint has a sketch.
        candidates: returns how many of the closest sketches a search scores exactly, at least 1.
        timeout_s: longest wait for one answer, in seconds.
        ca_file: certificates of the authorities that are trusted for TLS; None for the system's.

    Raises:
        Invalid: no sketch, an invalid address, another database than 0, one node of a cluster, or a server without
            the query engine.
    """

    def __init__(
        self,
        url: str,
        scorer: Scorer,
        *,
        candidates: Callable[[], int],
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
    ) -> None:
        if scorer.sketch is None:
            raise InvalidError(_NO_SKETCH)
        self.scorer = scorer
        self._sketch = scorer.sketch
        self._candidates = candidates
        # Longer than the client's timeout: past its limit (else 500 ms) the server answers "nothing", not an error.
        self._limit_ms = int(2_000 * timeout_s)
        self._name = keys.search_index(scorer.space.id, scorer.fingerprint)
        self._prefix = keys.vector(scorer.space.id, scorer.fingerprint, "")
        self._redis = connect(url, timeout_s, ca_file)
        try:
            with self._translated():
                self._create()
        except UnfitStoreError as error:
            raise InvalidError(str(error)) from error
        except UnavailableError:  # each later call tries again
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
            Unavailable: the server does not answer.
        """
        return [bool(there) for there in self._pipelined(("EXISTS", self._prefix + event) for event in events)]

    def add(self, entries: Sequence[IndexEntry], towers: Towers) -> None:
        """See `Backend.add`.

        Raises:
            Unavailable: the server does not answer; some events may be kept, and adding all again is safe.
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
            Unavailable: the server does not answer; some events may be gone, and removing all again is safe.
        """
        self._pipelined(("DEL", self._prefix + event) for event in events)

    def search(self, queries: Sequence[Query]) -> list[list[Match]]:
        """See `Backend.search`; exact among the `candidates` closest sketches, or more if `k` is higher.

        Raises:
            Unavailable: the server does not answer, or not in time.
        """
        asked = [i for i, query in enumerate(queries) if not _matches_nothing(query.filter)]
        if not asked:
            return [[] for _ in queries]
        closest = self._candidates()
        sketches = [self._sketch.of_queries(queries[i].towers[None], queries[i].by) for i in asked]
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

    def _command(self, query: Query, sketch: npt.NDArray[np.float32], candidates: int) -> _Command:
        """Return an FT.SEARCH command; it asks for more results by the number of excluded events."""
        most = max(query.k, candidates) + len(query.exclusion.events)
        text = f"({_clauses(query.filter, query.exclusion)})=>[KNN {most} @sketch $q AS distance]"
        asked = ("FT.SEARCH", self._name, text, "PARAMS", 2, "q", np.asarray(sketch, dtype="<f4").tobytes())
        return (
            *asked,
            *("RETURN", 3, "place", "captured", "towers"),
            *("LIMIT", 0, most, "TIMEOUT", self._limit_ms, "DIALECT", 2),
        )

    def _best(self, query: Query, answers: Sequence[list[Any]]) -> list[Match]:
        """Return the best matches of the server's one or two answers, by exact rank."""
        known: dict[str, tuple[str, str, int, bytes]] = {}
        for key, values in (pair for answer in answers for pair in zip(answer[1::2], answer[2::2], strict=True)):
            event = key.decode()[len(self._prefix) :]
            got = dict(zip(values[::2], values[1::2], strict=True)) if values else {}
            if event not in query.exclusion.events and b"towers" in got:  # without: removed meanwhile
                known[event] = (event, got[b"place"].decode(), int(got[b"captured"]), got[b"towers"])
        rows = sorted(known.values(), key=lambda row: -row[2])
        shape = (len(rows), *self.scorer.tower_shape)
        towers = np.frombuffer(b"".join(row[3] for row in rows), dtype="<f2").reshape(shape)
        found = best(self.scorer, query.towers, towers, query.k, by=query.by)
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
            )
            for i, row in enumerate(found.rows)
        ]

    def _pipelined(self, commands: Iterable[_Command]) -> list[Any]:
        """Return the answers of many commands, in few round trips."""
        answers: list[Any] = []
        pipe = self._redis.pipeline(transaction=False)
        with self._translated():
            for command in commands:
                pipe.execute_command(*command)
                if len(pipe) >= _BATCH:
                    answers += pipe.execute()
            return answers + list(pipe.execute())

    def _create(self) -> None:
        """Create the search index unless it exists; another hub may have created it."""
        try:
            self._redis.execute_command(
                *("FT.CREATE", self._name, "ON", "HASH", "PREFIX", 1, self._prefix, "SCHEMA"),
                *("sketch", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", self._sketch.width),
                *("DISTANCE_METRIC", "IP"),
                *("place", "TAG", "CASESENSITIVE", "captured", "NUMERIC", "laeq", "NUMERIC", "category", "TAG"),
            )
        except redis.ResponseError as error:
            text = str(error).lower()
            if "already exists" in text:
                return
            if "unknown command" in text:
                raise InvalidError(_NO_MODULE) from error
            if "db != 0" in text:
                raise InvalidError("the query engine serves database 0 only: end redis.url with /0") from error
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate the client's errors; create a search index again that the server lost."""
        try:
            yield
        except MovedError as error:
            raise UnfitStoreError(_CLUSTER) from error
        except redis.RedisError as error:
            if _lost(error):
                with self._translated():
                    self._create()
                raise UnavailableError("the query engine lost its search index; the hub created it again") from error
            raise meaning(error, "the query engine") from error


def _lost(error: redis.RedisError) -> bool:
    """Return whether the error means that the server has no such search index."""
    text = str(error).lower()
    return "no such index" in text or "unknown index name" in text


def _hash(
    entry: IndexEntry, towers: npt.NDArray[np.float16], sketch: npt.NDArray[np.float32]
) -> Iterator[str | bytes | int]:
    """Yield fields and values of an event's hash."""
    yield from ("sketch", np.asarray(sketch, dtype="<f4").tobytes())
    yield from ("towers", np.asarray(towers, dtype="<f2").tobytes())
    yield from ("presence", np.asarray(entry.presence, dtype="<f4").tobytes())
    yield from ("place", entry.place, "captured", entry.captured_ms, "laeq", _number(entry.laeq))
    if categories := entry.categories():
        yield from ("category", ",".join(str(category) for category in categories))


def _matches_nothing(wanted: Filter) -> bool:
    """Return whether no event can pass a filter."""
    return wanted.places == frozenset() or wanted.categories == frozenset()


def _clauses(wanted: Filter, exclusion: Exclusion) -> str:
    """Return filter and exclusion in the engine's query language."""
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
    """Return a clause that a tag is one of some values; escape all but letters and digits."""
    escaped = (_SPECIAL.sub(lambda found: "\\" + found[0], value) for value in values)
    return f"@{field}:{{{'|'.join(escaped)}}}"


def _number(value: float) -> str:
    """Format a number for the query language: without an exponent, and exactly this float."""
    return np.format_float_positional(value, trim="-")
