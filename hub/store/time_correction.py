"""Corrects events that earlier hubs archived with times in the future: those hubs believed every clock.

At a hub's start, events from ahead of the present that claim to be later than their receipt take the time of the
receipt, as `hub.domain.clocks` has it, and keep what they claimed. Their alerts and episodes follow, and so do the
newest times of sites. A row that cannot be read is left as it is (`hub.store.rows`).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np
from pydantic_core import from_json, to_json

from hub.domain.episodes import Episode
from hub.domain.records import from_ms, to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.episode_rows import decode_episode, encode_episode
from hub.store.event_removal import time_index_keys
from hub.store.events import EventStore

log = logging.getLogger(__name__)

_AT_ONCE: Final = 256


class Mender:
    """Corrects an archive; a second run changes nothing.

    Args:
        archive: holds the events to correct.
    """

    def __init__(self, archive: EventStore) -> None:
        self._redis = archive.client
        self._rows = archive.rows

    @raises_unavailable
    def mend(self, now: datetime) -> int:
        """Correct events that were captured later than a time.

        Returns:
            Number of corrected events.

        Raises:
            UnavailableError: the store is away; mending again is safe.
        """
        now_ms, mended, start = to_ms(now), 0, 0
        while ids := self._redis.zrangebyscore(keys.EVENTS, f"({now_ms}", "+inf", start=start, num=_AT_ONCE):
            some = self._mend_events([name.decode() for name in ids], now_ms)
            mended, start = mended + some, start + len(ids) - some
        start = 0
        while ids := self._redis.zrangebyscore(keys.EPISODES, f"({now_ms}", "+inf", start=start, num=_AT_ONCE):
            start += len(ids) - self._mend_episodes([name.decode() for name in ids], now_ms)
        if not mended:
            return 0
        for site in self._redis.smembers(keys.SITES):
            newest = self._redis.hget(keys.legacy_site_span(site.decode()), "newest_ms")
            if newest is not None and int(newest) > now_ms:
                self._redis.hset(keys.legacy_site_span(site.decode()), "newest_ms", now_ms)
        log.warning("events from the future have the time of their receipt now", extra={"events": mended})
        return mended

    def _mend_events(self, names: list[str], now_ms: int) -> int:
        """Correct these events; return how many were corrected or are gone."""
        done = 0
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hmget(keys.event(name), "captured_ms", "received_ms", "duration_s", "site", "presence")
            pipe.get(keys.alert(name))
        answers = pipe.execute()
        for name, row, alert in zip(names, answers[::2], answers[1::2], strict=True):
            if None in row:  # it expired by half
                pipe.zrem(keys.EVENTS, name)
                done += 1
                continue
            found = self._rows.read("event", name, partial(_receipt, name), row)
            if found is None:
                continue
            at_ms, captured_ms, indexes = found
            if at_ms > now_ms:  # it is this hub's clock that is wrong
                continue
            done += 1
            if alert is not None:
                if (changed := self._rows.read("alert", name, partial(_retimed, at_ms), alert)) is not None:
                    pipe.set(keys.alert(name), changed)
                pipe.zadd(keys.ALERTS, {name: at_ms})
            pipe.hset(keys.event(name), mapping={"captured_ms": at_ms, "claimed_ms": captured_ms})
            for index in (*indexes, keys.EVENTS):
                pipe.zadd(index, {name: at_ms})
        pipe.execute()
        return done

    def _mend_episodes(self, names: list[str], now_ms: int) -> int:
        """Have episodes begin with the event that opened them: how many are ahead no longer."""
        done = 0
        pipe: Any = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.get(keys.episode(name))
            pipe.zscore(keys.EVENTS, name.rpartition(".")[0])
        answers = pipe.execute()
        for name, row, opened in zip(names, answers[::2], answers[1::2], strict=True):
            at_ms = now_ms if opened is None else int(opened)
            if at_ms > now_ms:  # so is its event
                continue
            done += 1
            if row is None:
                pipe.zrem(keys.EPISODES, name)
                continue
            pipe.zadd(keys.EPISODES, {name: at_ms})
            moved = self._rows.read("episode", name, partial(_moved, at_ms, now_ms), row)
            if moved is not None:
                pipe.set(keys.episode(name), encode_episode(moved))
                pipe.zadd(keys.episodes_of(moved.place, moved.category), {name: at_ms})
        pipe.execute()
        return done


def _receipt(name: str, row: Sequence[bytes]) -> tuple[int, int, list[str]]:
    """Return the latest end of an event's clip, less its length, ms; the claimed start, ms; and its indexes."""
    captured, received, duration_s, site, presence = row
    at_ms = int(received) - round(float(duration_s) * 1000)
    from_ms(str(at_ms).encode())
    place = f"{site.decode()}/{name.split('.')[-3]}"  # earlier ids hold no site
    return at_ms, int(captured), time_index_keys(place, np.frombuffer(presence, dtype="<f4").tolist())


def _retimed(at_ms: int, alert: bytes) -> bytes:
    return to_json(from_json(alert) | {"captured_at": from_ms(str(at_ms).encode())})


def _moved(at_ms: int, now_ms: int, row: bytes) -> Episode:
    episode = decode_episode(row)
    length_ms = min(episode.last_ms - episode.opened_ms, now_ms - at_ms)
    return replace(episode, opened_ms=at_ms, last_ms=at_ms + length_ms)
