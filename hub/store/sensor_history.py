"""Earlier episodes and traces in the store, for clips that arrive late; see `hub.domain.sensor_history`.

The key of an episode that became a part of another holds the other's id, as JSON text, for a year.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from hub.domain.episodes import Episode, episode_of, episode_row
from hub.domain.records import LATEST_MS
from hub.domain.sensor_history import History, Key, Span, SpanRows, Trace
from hub.domain.thresholds import MIN_THRESHOLD
from hub.store import keys
from hub.store.rows import Rows

_AT_ONCE: Final = 64
_NAMED_FOR_S: Final = 366 * 86_400


def load_spans(client: Any, rows: Rows, spans: Collection[Span]) -> dict[Span, SpanRows]:  # noqa: ANN401 - untyped
    """Return the stored episodes that overlap each span, and the traces that begin in it.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
        spans: in ms since 1970 UTC.
    """
    if not spans:
        return {}
    pipe = client.pipeline(transaction=False)
    for span in spans:
        pipe.zrevrangebyscore(keys.episodes_of(*span[:2]), span.until_ms, "-inf", start=0, num=_AT_ONCE)
        pipe.zrangebyscore(keys.traces(*span[:2]), span.from_ms, span.until_ms)
    answers = pipe.execute()
    read = _episodes(client, rows, [name for ids in answers[::2] for name in ids])
    loaded = {}
    for span, ids, members in zip(spans, answers[::2], answers[1::2], strict=True):
        episodes = [episode for name in ids if (episode := read.get(name)) is not None]
        if len(ids) == _AT_ONCE and all(episode.last_ms >= span.from_ms for episode in episodes):
            episodes += _earlier(client, rows, span)
        traces = (rows.read("trace", member.decode(errors="replace"), _trace_from, member) for member in members)
        loaded[span] = SpanRows(
            [episode for episode in episodes if episode.last_ms >= span.from_ms],
            [trace for trace in traces if trace is not None],
        )
    return loaded


def _earlier(client: Any, rows: Rows, span: Span) -> list[Episode]:  # noqa: ANN401
    """Return the episodes after the first page, newest first, until a page has one that ended before the span."""
    episodes: list[Episode] = []
    index, start = keys.episodes_of(*span[:2]), _AT_ONCE
    while ids := client.zrevrangebyscore(index, span.until_ms, "-inf", start=start, num=_AT_ONCE):
        page = _episodes(client, rows, ids).values()
        episodes += page
        if len(ids) < _AT_ONCE or any(episode.last_ms < span.from_ms for episode in page):
            break
        start += len(ids)
    return episodes


def _episodes(client: Any, rows: Rows, ids: Sequence[bytes]) -> dict[bytes, Episode]:  # noqa: ANN401
    """Return episodes by id, in the order of the ids."""
    names = list(dict.fromkeys(ids))
    stored = client.mget([keys.episode(name.decode()) for name in names]) if names else []
    read = {
        name: rows.read("episode", name.decode(), episode_from, row) for name, row in zip(names, stored, strict=True)
    }
    return {name: episode for name, episode in read.items() if episode is not None}


def episode_from(row: bytes) -> Episode:
    """Parse an episode from its row.

    Raises:
        ValueError: the row is something else, or its times cannot be shown.
    """
    return checked(episode_of(from_json(row)))


def checked(episode: Episode) -> Episode:
    """Return the episode, if its times can be shown.

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
