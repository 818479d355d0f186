"""Corrects events that earlier hubs archived with times in the future: those hubs believed every clock.

At a hub's start, events from ahead of the present that claim to be later than their receipt take the time of the
receipt, as `hub.clock` has it, and keep what they claimed. Their alerts and episodes follow, and so do the newest
times of sites.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from pydantic_core import from_json, to_json

from hub.archive import PREFIX, Archive, indexes_of, translated
from hub.flagging.episode import episode_of, episode_row
from hub.past import EPISODES, index_of, key_of
from hub.stored import ms_of, time_of
from shared.events import EventId

log = logging.getLogger(__name__)

_AT_ONCE: Final = 256
_EVENTS: Final = f"{PREFIX}:events"


class Mender:
    """Corrects an archive; a second run changes nothing.

    Args:
        archive: holds the events to correct.
    """

    def __init__(self, archive: Archive) -> None:
        self._redis = archive.client

    @translated
    def mend(self, now: datetime) -> int:
        """Correct events that were captured later than a time.

        Returns:
            Number of corrected events.

        Raises:
            Unavailable: the store is away; mending again is safe.
        """
        now_ms, mended, start = ms_of(now), 0, 0
        while ids := self._redis.zrangebyscore(_EVENTS, f"({now_ms}", "+inf", start=start, num=_AT_ONCE):
            some = self._mend_events([name.decode() for name in ids], now_ms)
            mended, start = mended + some, start + len(ids) - some
        if not mended:
            return 0
        while ids := self._redis.zrangebyscore(EPISODES, f"({now_ms}", "+inf", start=0, num=_AT_ONCE):
            self._mend_episodes([name.decode() for name in ids], now_ms)
        for site in self._redis.smembers(f"{PREFIX}:sites"):
            newest = self._redis.hget(f"{PREFIX}:site:{site.decode()}", "newest_ms")
            if newest is not None and int(newest) > now_ms:
                self._redis.hset(f"{PREFIX}:site:{site.decode()}", "newest_ms", now_ms)
        log.warning("events from the future have the time of their receipt now", extra={"events": mended})
        return mended

    def _mend_events(self, names: list[str], now_ms: int) -> int:
        """Correct these events; return how many were corrected or are gone."""
        done = 0
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hmget(f"{PREFIX}:event:{name}", "captured_ms", "received_ms", "duration_s", "site", "presence")
            pipe.get(f"{PREFIX}:alert:{name}")
        answers = pipe.execute()
        for name, row, alert in zip(names, answers[::2], answers[1::2], strict=True):
            if None in row:  # it expired by half
                pipe.zrem(_EVENTS, name)
                done += 1
                continue
            captured, received, duration_s, site, presence = row
            at_ms = int(received) - round(float(duration_s) * 1000)
            if at_ms > now_ms:  # it is this hub's clock that is wrong
                continue
            done += 1
            if alert is not None:
                changed = from_json(alert) | {"captured_at": time_of(str(at_ms).encode())}
                pipe.set(f"{PREFIX}:alert:{name}", to_json(changed))
                pipe.zadd(f"{PREFIX}:alerts", {name: at_ms})
            place = f"{site.decode()}/{EventId.parse(name).sensor}"
            pipe.hset(f"{PREFIX}:event:{name}", mapping={"captured_ms": at_ms, "claimed_ms": int(captured)})
            for index in (*indexes_of(place, np.frombuffer(presence, dtype="<f4").tolist()), _EVENTS):
                pipe.zadd(index, {name: at_ms})
        pipe.execute()
        return done

    def _mend_episodes(self, names: list[str], now_ms: int) -> None:
        """Have episodes begin with the event that opened them."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.get(key_of(name))
            pipe.hget(f"{PREFIX}:event:{name.rpartition('.')[0]}", "captured_ms")
        answers = pipe.execute()
        for name, row, opened in zip(names, answers[::2], answers[1::2], strict=True):
            if row is None:
                pipe.zrem(EPISODES, name)
                continue
            episode = episode_of(from_json(row))
            at_ms = min(now_ms, int(opened) if opened is not None else now_ms)
            length_ms = min(episode.last_ms - episode.opened_ms, now_ms - at_ms)
            moved = replace(episode, opened_ms=at_ms, last_ms=at_ms + length_ms)
            pipe.set(key_of(name), to_json(episode_row(moved)))
            for index in (EPISODES, index_of(episode.place, episode.category)):
                pipe.zadd(index, {name: at_ms})
        pipe.execute()
