"""Verdicts in the store: the one that applies to each alert and match, and the history of all.

A verdict that corrects the category of an alert also moves the alert's event to the time indexes of the right
categories, so that lists of events find it there.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from hub.domain.records import to_ms
from hub.domain.verdicts import Verdict, standing
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.event_removal import time_index_keys
from hub.store.events import EventStore
from hub.store.json_rows import encode
from shared.errors import InvalidError
from shared.events import EventId
from shared.taxonomy import CATEGORIES


class VerdictStore:
    """Keeps verdicts; safe to use from several threads.

    Args:
        archive: whose store is used.
    """

    def __init__(self, archive: EventStore) -> None:
        self._archive = archive
        self._redis = archive.client
        self._rows = archive.rows

    @raises_unavailable
    def keep(self, given: Verdict) -> None:
        """Keep a verdict as the one that applies to its alert or match; the history keeps the others."""
        history = self._redis.zrange(keys.verdict_history(given.alert), 0, -1)
        # Earlier hubs kept no history: the verdict that this one replaces may be missing from it.
        known = {(one.subject, one.at) for _, one in self._parsed(given.alert, history)}
        replaced = [one for one in self._read([given.subject]) if (one.subject, one.at) not in known]
        same = [row for row, one in self._parsed(given.alert, history) if (one.subject, one.at) == _key(given)]
        with self._redis.pipeline(transaction=True) as pipe:
            if same:
                pipe.zrem(keys.verdict_history(given.alert), *same)
            rows = {_row(verdict): to_ms(verdict.at) for verdict in [*replaced, given]}
            pipe.zadd(keys.verdict_history(given.alert), rows)
            self._queue_standing(pipe, given.alert, given.subject, given)
            pipe.execute()
        self._index(given.alert)

    @raises_unavailable
    def withdraw(
        self, alert: str, match: str | None, at: datetime, *, by: str, now: datetime
    ) -> tuple[Verdict, bool]:
        """Mark a verdict as withdrawn; the newest one of the same subject that is not withdrawn applies again.

        Args:
            alert: it is about.
            match: it is about; None for the alert as a whole.
            at: when it was given.
            by: who withdraws it.
            now: when.

        Returns:
            The verdict, and whether it was the one that applied.

        Raises:
            InvalidError: there is no such verdict, or it is withdrawn already.
        """
        past = self.history(alert)
        found = next((one for one in past if (one.match, to_ms(one.at)) == (match, to_ms(at))), None)
        if found is None:
            raise InvalidError(f"alert {alert} has no such verdict; load its page again")
        if found.withdrawn_at is not None:
            raise InvalidError(f"this verdict on alert {alert} is withdrawn already")
        was_standing = standing(past, match) == found
        withdrawn = found.model_copy(update={"withdrawn_at": now, "withdrawn_by": by})
        stored = self._parsed(alert, self._redis.zrange(keys.verdict_history(alert), 0, -1))
        rows = [row for row, one in stored if _key(one) == _key(found)]
        following = standing([one for one in past if one != found], match)
        with self._redis.pipeline(transaction=True) as pipe:
            if rows:
                pipe.zrem(keys.verdict_history(alert), *rows)
            pipe.zadd(keys.verdict_history(alert), {_row(withdrawn): to_ms(withdrawn.at)})
            self._queue_standing(pipe, alert, found.subject, following)
            pipe.execute()
        self._index(alert)
        return withdrawn, was_standing

    @raises_unavailable
    def for_alert(self, alert: str) -> list[Verdict]:
        """Return the verdicts that apply to an alert and its matches."""
        return self.for_alerts([alert])[alert]

    @raises_unavailable
    def for_alerts(self, alerts: Sequence[str]) -> dict[str, list[Verdict]]:
        """Return the verdicts that apply to some alerts and their matches, by alert."""
        pipe = self._redis.pipeline(transaction=False)
        for alert in alerts:
            pipe.smembers(keys.verdicts_of(alert))
        subjects = [sorted(found) for found in pipe.execute()] if alerts else []
        by_alert: dict[str, list[Verdict]] = {alert: [] for alert in alerts}
        for verdict in self._read([subject.decode() for own in subjects for subject in own]):
            by_alert[verdict.alert].append(verdict)
        return by_alert

    @raises_unavailable
    def history(self, alert: str) -> list[Verdict]:
        """Return every verdict on an alert and its matches, oldest first, also those replaced or withdrawn later."""
        stored = self._parsed(alert, self._redis.zrange(keys.verdict_history(alert), 0, -1))
        past = {_key(verdict): verdict for verdict in [*self.for_alert(alert), *(one for _, one in stored)]}
        return sorted(past.values(), key=attrgetter("at"))

    @raises_unavailable
    def newest(self, *, limit: int = 50, before: datetime | None = None) -> list[Verdict]:
        """Return the newest verdicts that apply, newest first."""
        upper = "+inf" if before is None else f"({to_ms(before)}"
        found = self._redis.zrevrangebyscore(keys.VERDICT_TIMES, upper, "-inf", start=0, num=limit)
        return self._read([subject.decode() for subject in found])

    @raises_unavailable
    def all(self) -> list[Verdict]:
        """Return all verdicts that apply, oldest first."""
        return self._read([subject.decode() for subject in self._redis.zrange(keys.VERDICT_TIMES, 0, -1)])

    @raises_unavailable
    def corrections(self, events: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the right categories of events whose alerts a verdict corrects; others are missing."""
        found = self._read([f"{event}|" for event in events])
        return {one.alert: one.corrected for one in found if one.corrected}

    @raises_unavailable
    def corrected_episodes(self) -> dict[str, tuple[str, ...]]:
        """Return the right categories of all episodes that verdicts correct, by id; earlier verdicts name none."""
        rows = self._redis.hgetall(keys.VERDICTS).items()
        read = (self._rows.read("verdict", key.decode(), Verdict.model_validate_json, row) for key, row in rows)
        return {one.episode: one.corrected for one in read if one is not None and one.corrected and one.episode}

    def _queue_standing(self, pipe: Any, alert: str, subject: str, verdict: Verdict | None) -> None:  # noqa: ANN401
        if verdict is None:
            pipe.hdel(keys.VERDICTS, subject)
            pipe.zrem(keys.VERDICT_TIMES, subject)
            pipe.srem(keys.verdicts_of(alert), subject)
        else:
            pipe.hset(keys.VERDICTS, subject, _row(verdict))
            pipe.zadd(keys.VERDICT_TIMES, {subject: to_ms(verdict.at)})
            pipe.sadd(keys.verdicts_of(alert), subject)

    def _index(self, alert: str) -> None:
        """Move an alert's event to the time indexes of the categories that pages show for it."""
        event = self._archive.get(EventId.parse(alert))
        if event is None:
            return
        corrected = self.corrections([alert]).get(alert)
        detected = set(time_index_keys(event.place, event.presence)) - {keys.events_of(event.place)}
        wanted = detected if corrected is None else {keys.events_of(name) for name in corrected}
        at_ms = to_ms(event.captured_at)
        with self._redis.pipeline(transaction=True) as pipe:
            for name in CATEGORIES:
                if keys.events_of(name) in wanted:
                    pipe.zadd(keys.events_of(name), {alert: at_ms})
                else:
                    pipe.zrem(keys.events_of(name), alert)
            pipe.execute()

    def _read(self, subjects: Sequence[str]) -> list[Verdict]:
        rows = self._redis.hmget(keys.VERDICTS, subjects) if subjects else []
        read = (
            self._rows.read("verdict", subject, Verdict.model_validate_json, row)
            for subject, row in zip(subjects, rows, strict=True)
        )
        return [verdict for verdict in read if verdict is not None]

    def _parsed(self, alert: str, stored: Iterable[bytes]) -> list[tuple[bytes, Verdict]]:
        """Return rows of the history with their verdicts; those that cannot be read are left out."""
        read = ((row, self._rows.read("verdict", alert, Verdict.model_validate_json, row)) for row in stored)
        return [(row, verdict) for row, verdict in read if verdict is not None]


def _key(verdict: Verdict) -> tuple[str, datetime]:
    return verdict.subject, verdict.at


def _row(verdict: Verdict) -> bytes:
    return encode(verdict.model_dump(mode="json"))
