"""Record people's verdicts on alerts and matches, and act on them.

A verdict is kept, moves the site's thresholds at once, teaches networks (`train --feedback`), and decides whether a
candidate network or threshold may take over (`hub.alerting.shadow`).

A person can withdraw a verdict. The history keeps it, and the newest verdict on the same alert or match that is not
withdrawn applies again. docs/flagging.md states which effects are taken back.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from hub.alerting.threshold_tuner import ThresholdTuner
from hub.domain.episodes import ActiveAlert
from hub.domain.records import to_ms
from hub.domain.verdicts import Verdict, VerdictKind, standing
from hub.store.episodes import EpisodeStore
from hub.store.source_verdicts import SourceVerdicts
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES

IGNORED_S: Final = 7 * 86_400.0
"""For how long "ignore" keeps a category at a place from raising alerts."""


class FeedbackService:
    """Takes verdicts, and keeps them in the archive's store.

    Args:
        episode_store: where verdicts are kept, and where "ignore" suppresses alerts.
        tuner: estimates thresholds again.
        sources: joins and parts sources by a verdict; None leaves them as they are.
    """

    def __init__(
        self,
        episode_store: EpisodeStore,
        tuner: ThresholdTuner,
        sources: SourceVerdicts | None = None,
    ) -> None:
        self.stored = episode_store.verdicts
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
            episode=alert.episode,
        )
        return self._apply(given, alert, about)

    def withdraw(self, alert: AlertMessage, match: str | None, at: datetime, *, by: str = "") -> Verdict:
        """Withdraw a verdict: it has no effect from now on, and an earlier one applies again.

        Args:
            alert: it is about.
            match: event of the match it is about; None for the alert as a whole.
            at: when it was given.
            by: who withdraws it.

        Returns:
            The withdrawn verdict.

        Raises:
            InvalidError: there is no such verdict, or it is withdrawn already.
            UnavailableError: the store is away.
        """
        withdrawn, was_standing = self.stored.withdraw(alert.event, match, at, by=by, now=datetime.now(UTC))
        if not was_standing:
            return withdrawn
        if withdrawn.verdict == "ignore":
            self._episode_store.end_suppression(withdrawn.place, withdrawn.category, alert.event)
        elif self._sources is not None and withdrawn.other_episode:
            self._sources.take_back(withdrawn)
        earlier = standing(self.stored.history(alert.event), match)
        if earlier is None:
            self._tuner.tune(alert.site)
        else:
            self._apply(earlier, alert, next((one for one in alert.matches if one.event == match), None))
        return withdrawn

    def _apply(self, given: Verdict, alert: AlertMessage, about: MatchMessage | None) -> Verdict:
        """Keep a verdict as the one that applies, and act on it; return it with what it changed."""
        self.stored.keep(given)
        if given.verdict == "ignore":
            at_ms = to_ms(alert.captured_at)
            until_ms = at_ms + round(IGNORED_S * 1000)
            self._episode_store.suppress(given.place, given.category, ActiveAlert(alert.event, at_ms, until_ms))
        elif self._sources is not None and given.verdict in {"same", "different"}:
            other = self._sources.take(alert, about, same=given.verdict == "same")
            if other:
                given = given.model_copy(update={"other_episode": other})
                self.stored.keep(given)
        self._tuner.tune(alert.site)
        return given
