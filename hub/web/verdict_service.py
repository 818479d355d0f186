"""Taking what a person says of an alert, and telling how the threshold moved."""

from dataclasses import dataclass

from fastapi import HTTPException

from hub.domain.verdicts import VerdictKind
from hub.web.context import Parts
from hub.web.resolve import alert_of
from hub.web.schemas import GivenView, ThresholdView, threshold_view
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says; see `hub.domain.verdicts.Verdict`."""

    verdict: VerdictKind
    match: str | None = None
    categories: tuple[str, ...] = ()
    note: str = ""
    by: str = ""


def give(parts: Parts, alert_id: str, said: Said) -> GivenView:
    """Keep a verdict on an alert or one of its matches, and tell how the category's threshold moved.

    Raises:
        Invalid: an alert without such a match, or an unknown category.
        HTTPException: 404, no such alert.
        Unavailable: the store is away.
    """
    alert = alert_of(parts.archive, alert_id)
    if said.match is not None and said.match not in {match.event for match in alert.matches}:
        raise HTTPException(404, f"alert {alert_id} has no match {said.match}")
    category = next(iter(alert.categories), "")
    before = threshold(parts, alert.site, category)
    verdict = parts.feedback.give(
        alert=alert,
        match=said.match,
        verdict=said.verdict,
        categories=said.categories,
        note=said.note,
        by=said.by,
    )
    return GivenView(verdict=verdict, before=before, after=threshold(parts, alert.site, category))


def threshold(parts: Parts, site: str, category: str) -> float:
    """Likeness from which a category raises alerts at a site, in [0, 1]."""
    own = parts.casebook.thresholds(site).get(category)
    return parts.settings.flagging.threshold if own is None else own.value


def thresholds(parts: Parts, site: str) -> list[ThresholdView]:
    """All thresholds of a site.

    Raises:
        HTTPException: 404, no such site was ever heard.
        Unavailable: the store is away.
    """
    if parts.casebook.times(site) is None:
        raise HTTPException(404, f"nothing was heard of a site {site}")
    learnt = parts.casebook.thresholds(site)
    start = parts.settings.flagging.threshold
    return [threshold_view(name, learnt.get(name), start) for name in CATEGORIES]
