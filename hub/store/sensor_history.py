"""Earlier episodes and traces in the store, for clips that come late; see `hub.domain.sensor_history`.

The key of an episode that became a part of another holds the other's name, as JSON text, for a year.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from hub.domain.episodes import Episode, episode_of, episode_row
from hub.domain.records import LATEST_MS
from hub.domain.sensor_history import History, Kept, Key, Trace
from hub.domain.thresholds import MIN_THRESHOLD
from hub.store import keys
from hub.store.rows import Rows

_AT_ONCE: Final = 16
_NAMED_FOR_S: Final = 366 * 86_400


def load(client: Any, rows: Rows, key: Key, from_ms: int, until_ms: int) -> Kept:  # noqa: ANN401 - untyped
    """What is kept of episodes that overlap a span of time, and of traces that begin in it.

    Args:
        client: answers at once, though keys are watched.
        rows: leaves out what cannot be read.
        key: place and category.
        from_ms: begin of the span.
        until_ms: end of the span.
    """
    episodes: list[Episode] = []
    index, start = keys.episodes_of(*key), 0
    while ids := client.zrevrangebyscore(index, until_ms, "-inf", start=start, num=_AT_ONCE):
        names = [name.decode() for name in ids]
        kept = client.mget([keys.episode(name) for name in names])
        read = (rows.read("episode", name, episode_from, row) for name, row in zip(names, kept, strict=True))
        found = [episode for episode in read if episode is not None]
        episodes += [episode for episode in found if episode.last_ms >= from_ms]
        if len(ids) < _AT_ONCE or any(episode.last_ms < from_ms for episode in found):
            break
        start += len(ids)
    members = client.zrangebyscore(keys.traces(*key), from_ms, until_ms)
    traces = (rows.read("trace", member.decode(errors="replace"), _trace_from, member) for member in members)
    return episodes, [trace for trace in traces if trace is not None]


def episode_from(row: bytes) -> Episode:
    """An episode from its row.

    Raises:
        ValueError: the row is something else, or its times cannot be shown.
    """
    return checked(episode_of(from_json(row)))


def checked(episode: Episode) -> Episode:
    """The episode, if its times can be shown.

    Raises:
        ValueError: a time outside the years 1970 to 9998.
    """
    for ms in (episode.opened_ms, episode.last_ms):
        if not 0 <= ms < LATEST_MS:
            raise ValueError("a time outside the years 1970 to 9998")
    return episode


def _trace_from(member: bytes) -> Trace:
    return Trace(*from_json(member))


def queue(pipe: Any, history: History) -> None:  # noqa: ANN401
    """Keep what changed in a history, in few commands: each costs more than what it carries."""
    opened: dict[str, dict[str, int]] = {}
    likely: dict[str, dict[str, str]] = {}
    rows: dict[str, bytes] = {}
    for episode in history.changed.values():
        rows[keys.episode(episode.id)] = to_json(episode_row(episode))
        if episode.id in history.moved:
            for index in (keys.EPISODES, keys.episodes_of(episode.place, episode.category)):
                opened.setdefault(index, {})[episode.id] = episode.opened_ms
        if episode.max_match_probability >= MIN_THRESHOLD:
            value = f"{episode.opened_ms}:{episode.max_match_probability:.4f}"
            likely.setdefault(keys.match_probabilities(episode.site, episode.category), {})[episode.id] = value
    for index, entries in opened.items():
        pipe.zadd(index, entries)
    for name, values in likely.items():
        pipe.hset(name, mapping=values)
    if rows:
        pipe.mset(rows)
    for episode in history.merged.values():
        pipe.set(keys.episode(episode.id), to_json(history.into[episode.id]), ex=_NAMED_FOR_S)
        pipe.zrem(keys.EPISODES, episode.id)
        pipe.zrem(keys.episodes_of(episode.place, episode.category), episode.id)
        pipe.hdel(keys.match_probabilities(episode.site, episode.category), episode.id)
    _queue_traces(pipe, history.traces, history.absorbed)


def _queue_traces(
    pipe: Any,  # noqa: ANN401
    came: Mapping[Key, Mapping[str, Trace]],
    absorbed: Mapping[Key, Mapping[str, Trace]],
) -> None:
    for key, traces in came.items():
        if traces:
            pipe.zadd(keys.traces(*key), {_member(trace): trace.start_ms for trace in traces.values()})
    for key, traces in absorbed.items():
        if traces:
            pipe.zrem(keys.traces(*key), *(_member(trace) for trace in traces.values()))


def expire_traces(pipe: Any, place: str, category: str, before_ms: int) -> None:  # noqa: ANN401
    """Remove traces from before a time."""
    pipe.zremrangebyscore(keys.traces(place, category), "-inf", f"({before_ms}")


def _member(trace: Trace) -> bytes:
    return to_json([trace.event, trace.start_ms, trace.end_ms, trace.laeq, trace.presence, trace.match_probability])
