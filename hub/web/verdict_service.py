"""Taking what a person says of an alert, and telling how the threshold moved."""

from dataclasses import dataclass

from fastapi import HTTPException

from hub.domain.verdicts import VerdictKind
from hub.web.context import WebContext
from hub.web.resolve import get_alert_or_404
from hub.web.schemas import ThresholdView, VerdictResult, threshold_view
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class VerdictInput:
    """What a person says; see `hub.domain.verdicts.Verdict`."""

    verdict: VerdictKind
    match: str | None = None
    categories: tuple[str, ...] = ()
    note: str = ""
    author: str = ""


def submit_verdict(parts: WebContext, alert_id: str, said: VerdictInput) -> VerdictResult:
    """Keep a verdict on an alert or one of its matches, and tell how the category's threshold moved.

    Raises:
        Invalid: an alert without such a match, or an unknown category.
        HTTPException: 404, no such alert.
        Unavailable: the store is away.
    """
    alert = get_alert_or_404(parts.archive, alert_id)
    if said.match is not None and said.match not in {match.event for match in alert.matches}:
        raise HTTPException(404, f"alert {alert_id} has no match {said.match}")
    category = next(iter(alert.categories), "")
    before = threshold(parts, alert.site, category)
    verdict = parts.feedback.submit(
        alert=alert,
        match=said.match,
        verdict=said.verdict,
        categories=said.categories,
        note=said.note,
        by=said.author,
    )
    return VerdictResult(
        verdict=verdict, threshold_before=before, threshold_after=threshold(parts, alert.site, category)
    )


def threshold(parts: WebContext, site: str, category: str) -> float:
    """Likeness from which a category raises alerts at a site, in [0, 1]."""
    own = parts.episode_store.thresholds.of(site).get(category)
    return parts.settings.alerts.default_threshold if own is None else own.value


def thresholds(parts: WebContext, site: str) -> list[ThresholdView]:
    """All thresholds of a site.

    Raises:
        HTTPException: 404, no such site was ever heard.
        Unavailable: the store is away.
    """
    if parts.episode_store.observed_range(site) is None:
        raise HTTPException(404, f"nothing was heard of a site {site}")
    learnt = parts.episode_store.thresholds.of(site)
    start = parts.settings.alerts.default_threshold
    return [threshold_view(name, learnt.get(name), start) for name in CATEGORIES]
