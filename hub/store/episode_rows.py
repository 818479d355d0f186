"""Episodes, sensor states and traces as rows; see `hub.store.json_rows`."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from hub.domain.episodes import ActiveAlert, Episode, SensorState
from hub.domain.records import LATEST_MS
from hub.domain.sensor_history import Trace
from hub.store.json_rows import Record, encode, merged_into

_EPISODE: Final = Record(Episode)
_ACTIVE_ALERT: Final = Record(ActiveAlert)
_TRACE: Final = Record(Trace)


def encode_episode(episode: Episode) -> bytes:
    """Return an episode as a row."""
    return encode(_EPISODE.fields(episode))


def decode_episode(row: bytes) -> Episode:
    """Return an episode from its row, with whatever times it has.

    Raises:
        TypeError, ValueError: the row is something else.
    """
    return _episode_of(from_json(row))


def decode_valid_episode(row: bytes) -> Episode:
    """Return an episode from its row.

    Raises:
        TypeError, ValueError: the row is something else, or its times cannot be shown.
    """
    return _checked(decode_episode(row))


def decode_episode_or_id(row: bytes) -> Episode | str:
    """Return an episode from its row, or the id of the one that it became a part of.

    Raises:
        TypeError, ValueError: the row is something else, or its times cannot be shown.
    """
    document = from_json(row)
    into = merged_into(document)
    return _checked(_episode_of(document)) if into is None else into


def encode_state(state: SensorState) -> bytes:
    """Return the state of a sensor as a row."""
    return encode(
        {
            "fields": _EPISODE.names,
            "episodes": [_EPISODE.values(e) for own in state.episodes.values() for e in own],
            "calls": {
                category: {"alert": call.alert, "from_ms": call.from_ms, "until_ms": call.until_ms}
                for category, call in state.calls.items()
            },
            "ambient": round(state.ambient, 2),
            "unit": state.unit,
            "clips": state.clips,
            "hour": state.hour,
            "newest_ms": state.newest_ms,
        }
    )


def decode_state(row: bytes) -> SensorState:
    """Return the state of a sensor from its row.

    Raises:
        KeyError, TypeError, ValueError: the row is something else, or a time in it cannot be shown.
    """
    document = from_json(row)
    state = SensorState(hour=document["hour"])
    read = _EPISODE.reader(document.get("fields"))
    for values in document["episodes"]:
        episode = _checked(read(values))
        state.episodes.setdefault(episode.category, []).append(episode)
    if "v" in document:
        state.calls = {category: _ACTIVE_ALERT.of_fields(call) for category, call in document["calls"].items()}
        state.ambient, state.unit, state.clips = document["ambient"], document["unit"], document["clips"]
        state.newest_ms = document["newest_ms"]
    else:
        _take_unversioned(document, state)
    return state


def _take_unversioned(document: Mapping[str, Any], state: SensorState) -> None:
    """Add to a state what earlier hubs kept as lists."""
    state.calls = {category: _ACTIVE_ALERT.of_values(call) for category, call in document["calls"].items()}
    state.ambient, state.unit, state.clips = document["ambient"][:3]
    opened = (episode.opened_ms for known in state.episodes.values() for episode in known)
    state.newest_ms = document["newest"] if "newest" in document else max(opened, default=0)


def encode_trace(trace: Trace) -> bytes:
    """Return a trace as a row."""
    return encode(_TRACE.fields(trace))


def encode_unversioned_trace(trace: Trace) -> bytes:
    """Return a trace as earlier hubs kept it: a sorted set finds a member only by its bytes."""
    return to_json(_TRACE.values(trace))


def decode_trace(row: bytes) -> Trace:
    """Return a trace from its row.

    Raises:
        TypeError, ValueError: the row is something else.
    """
    document = from_json(row)
    return _TRACE.of_values(document) if isinstance(document, list) else _TRACE.of_fields(document)


def _episode_of(document: Any) -> Episode:  # noqa: ANN401 - any JSON value
    return _EPISODE.of_values(document) if isinstance(document, list) else _EPISODE.of_fields(document)


def _checked(episode: Episode) -> Episode:
    """Return an episode whose times lie in the years 1970 to 9998.

    Raises:
        ValueError: a time that cannot be shown.
    """
    for ms in (episode.opened_ms, episode.last_ms):
        if not 0 <= ms < LATEST_MS:
            raise ValueError("a time outside the years 1970 to 9998")
    return episode
