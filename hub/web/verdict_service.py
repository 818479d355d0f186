"""Store verdicts on alerts, and report how they move thresholds."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import HTTPException

from hub.domain.accounts import Identity
from hub.domain.verdicts import Verdict, VerdictKind
from hub.web.alert_schemas import ThresholdView, VerdictResult, threshold_view
from hub.web.context import WebContext
from hub.web.resolve import get_alert_or_404
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class VerdictInput:
    """A person's verdict; see `hub.domain.verdicts.Verdict`."""

    verdict: VerdictKind
    match: str | None = None
    categories: tuple[str, ...] = ()
    note: str = ""
    author: str = ""


def submit_verdict(parts: WebContext, alert_id: str, given: VerdictInput) -> VerdictResult:
    """Store a verdict on an alert or one of its matches; return it with the threshold before and after.

    Raises:
        InvalidError: an unknown category.
        HTTPException: 404, no such alert or match.
        UnavailableError: the store is unavailable.
    """
    alert = get_alert_or_404(parts.archive, alert_id)
    if given.match is not None and given.match not in {match.event for match in alert.matches}:
        raise HTTPException(404, f"alert {alert_id} has no match {given.match}")
    category = next(iter(alert.categories), "")
    before = threshold(parts, alert.site, category)
    verdict = parts.feedback.submit(
        alert=alert,
        match=given.match,
        verdict=given.verdict,
        categories=given.categories,
        note=given.note,
        by=given.author,
    )
    return VerdictResult(
        verdict=verdict, threshold_before=before, threshold_after=threshold(parts, alert.site, category)
    )


def withdraw(
    parts: WebContext, alert_id: str, match: str | None, at: datetime, identity: Identity | None
) -> VerdictResult:
    """Withdraw a verdict; return it with the threshold before and after.

    Args:
        parts: the hub's parts.
        alert_id: the alert that it is about.
        match: the match that it is about; None for the alert as a whole.
        at: when it was given.
        identity: who withdraws it.

    Raises:
        InvalidError: there is no such verdict, or it is withdrawn already.
        HTTPException: 404, no such alert; 403, the verdict is another person's.
        UnavailableError: the store is unavailable.
    """
    alert = get_alert_or_404(parts.archive, alert_id)
    found = [one for one in parts.feedback.stored.history(alert_id) if (one.match, one.at) == (match, at)]
    if any(one.withdrawn_at is None and not may_withdraw(one, identity) for one in found):
        raise HTTPException(403, "this verdict is another person's: its author or an operator withdraws it")
    category = next(iter(alert.categories), "")
    before = threshold(parts, alert.site, category)
    withdrawn = parts.feedback.withdraw(alert, match, at, by="" if identity is None else identity.who)
    return VerdictResult(
        verdict=withdrawn, threshold_before=before, threshold_after=threshold(parts, alert.site, category)
    )


def may_withdraw(verdict: Verdict, identity: Identity | None) -> bool:
    """Return whether a client may withdraw a verdict that is not withdrawn: its author, and operators.

    Where pages need no login, any client may.
    """
    is_allowed = identity is not None and (verdict.is_of(identity.who) or identity.may("operator"))
    return is_allowed and verdict.withdrawn_at is None


def threshold(parts: WebContext, site: str, category: str) -> float:
    """Return the match probability from which a category raises alerts at a site, in [0, 1]."""
    tuned = parts.episode_store.thresholds.of(site).get(category)
    return parts.settings.alerts.default_threshold if tuned is None else tuned.value


def thresholds(parts: WebContext, site: str) -> list[ThresholdView]:
    """Return all thresholds of a site.

    Raises:
        HTTPException: 404, no sensor of this site ever sent an event.
        UnavailableError: the store is unavailable.
    """
    if parts.episode_store.observed_range(site) is None:
        raise HTTPException(404, f"no event of a site {site}")
    tuned = parts.episode_store.thresholds.of(site)
    default = parts.settings.alerts.default_threshold
    return [threshold_view(name, tuned.get(name), default) for name in CATEGORIES]
