"""Record people's verdicts on alerts and matches, and act on them.

A verdict is kept, moves the site's thresholds at once, teaches networks (`train --feedback`), and decides whether a
candidate network or threshold may take over (`hub.alerting.shadow`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

from hub.alerting.threshold_tuner import ThresholdTuner
from hub.domain.records import to_ms
from hub.domain.verdicts import Verdict, VerdictKind
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.json_rows import encode
from hub.store.source_verdicts import SourceVerdicts
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES

IGNORED_S: Final = 7 * 86_400.0
"""For how long "ignore" keeps a category at a place from raising alerts."""


class FeedbackService:
    """Takes verdicts, and keeps them in the archive's store.

    Args:
        archive: whose store is used.
        episode_store: where "ignore" hushes.
        tuner: estimates thresholds again.
        sources: joins and parts sources by a verdict; None leaves them as they are.
    """

    def __init__(
        self,
        archive: EventStore,
        episode_store: EpisodeStore,
        tuner: ThresholdTuner,
        sources: SourceVerdicts | None = None,
    ) -> None:
        self._redis = archive.client
        self._rows = archive.rows
        self._episode_store = episode_store
        self._tuner = tuner
        self._sources = sources

    def submit(
        self,
        *,
        alert: AlertMessage,
        match: str | None,
        verdict: VerdictKind,
        categories: Sequence[str] = (),
        note: str = "",
        by: str = "",
        now: datetime | None = None,
    ) -> Verdict:
        """Keep a verdict on an alert or one of its matches, and act on it at once.

        Args:
            alert: it is about.
            match: event of the match it is about; None for the alert as a whole.
            verdict: of the person.
            categories: of `wrong-category`, the right ones.
            note: in the person's own words.
            by: who gives the verdict.
            now: when; the present by default.

        Raises:
            InvalidError: an alert without such a match or without a category, or an unknown category.
            UnavailableError: the store is away.
        """
        about = next((m for m in alert.matches if m.event == match), None)
        if match is not None and about is None:
            raise InvalidError(f"alert {alert.event} has no match {match}")
        if unknown := set(categories) - set(CATEGORIES):
            raise InvalidError(f"unknown categories {sorted(unknown)}; there are {', '.join(CATEGORIES)}")
        if not alert.categories:
            raise InvalidError(f"alert {alert.event} is of an earlier version and takes no feedback")
        stated = alert.match_probability if about is None else about.match_probability
        given = Verdict(
            alert=alert.event,
            match=match,
            verdict=verdict,
            categories=list(categories),
            note=note,
            author=by,
            at=now or datetime.now(UTC),
            site=alert.site,
            place=f"{alert.site}/{alert.sensor}",
            category=alert.categories[0],
            match_probability=stated or 0.0,
        )
        self._keep(given)
        if verdict == "ignore":
            at_ms = to_ms(alert.captured_at)
            until_ms = at_ms + round(IGNORED_S * 1000)
            self._episode_store.suppress(given.place, given.category, alert.event, at_ms, until_ms)
        elif self._sources is not None and verdict in {"same", "different"}:
            self._sources.take(alert, about, same=verdict == "same")
        self._tuner.tune(alert.site)
        return given

    @raises_unavailable
    def _keep(self, given: Verdict) -> None:
        # Earlier hubs kept no history: the verdict that this one replaces may be missing from it.
        rows = {_row(verdict): to_ms(verdict.at) for verdict in [*self._read([given.subject.encode()]), given]}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(keys.verdict_history(given.alert), rows)
            pipe.hset(keys.VERDICTS, given.subject, _row(given))
            pipe.zadd(keys.VERDICT_TIMES, {given.subject: to_ms(given.at)})
            pipe.sadd(keys.verdicts_of(given.alert), given.subject)
            pipe.execute()

    @raises_unavailable
    def for_alert(self, alert: str) -> list[Verdict]:
        """Return the verdicts on an alert and its matches."""
        subjects = sorted(self._redis.smembers(keys.verdicts_of(alert)))
        return self._read(subjects)

    @raises_unavailable
    def history(self, alert: str) -> list[Verdict]:
        """Return every verdict on an alert and its matches, oldest first, also those that a later one replaced."""
        stored = self._redis.zrange(keys.verdict_history(alert), 0, -1)
        read = (self._rows.read("verdict", alert, Verdict.model_validate_json, row) for row in stored)
        past = {_row(verdict): verdict for verdict in [*read, *self.for_alert(alert)] if verdict is not None}
        return sorted(past.values(), key=attrgetter("at"))

    @raises_unavailable
    def verdicts(self, *, limit: int = 50, before: datetime | None = None) -> list[Verdict]:
        """Return the newest verdicts, newest first."""
        upper = "+inf" if before is None else f"({to_ms(before)}"
        return self._read(self._redis.zrevrangebyscore(keys.VERDICT_TIMES, upper, "-inf", start=0, num=limit))

    @raises_unavailable
    def all(self) -> list[Verdict]:
        """Return all verdicts, oldest first."""
        return self._read(self._redis.zrange(keys.VERDICT_TIMES, 0, -1))

    def _read(self, subjects: Sequence[bytes]) -> list[Verdict]:
        rows = self._redis.hmget(keys.VERDICTS, subjects) if subjects else []
        read = (
            self._rows.read("verdict", subject.decode(), Verdict.model_validate_json, row)
            for subject, row in zip(subjects, rows, strict=True)
        )
        return [verdict for verdict in read if verdict is not None]


def _row(verdict: Verdict) -> bytes:
    return encode(verdict.model_dump(mode="json"))
