"""Representations of limits and exceedances, for pages, API and exports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import HTTPException
from pydantic import BaseModel, Field

from hub.domain.exceedances import Exceedance
from hub.domain.level_rows import HOUR_S
from hub.domain.limit_summary import clock, describe_rule
from hub.domain.limits import WEEKDAYS, LimitRule, Period, Quantity, periods_between
from hub.store.exceedances import JudgedCounts
from hub.web.context import WebContext
from shared.errors import InvalidError

MOST_DAYS: Final = 366
RULE: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"


class ExceedanceView(BaseModel):
    """A level above a limit at a sensor, in dB.

    `start` and `end` are those of the period: the hour, also of a rule of minutes, the window, the day or the year.
    `worst` is the begin of the minute that is furthest above the limit, else `start`. `limit` is what `level` was
    compared with, without the tolerance of the rule; `ambient` is the L90 of the hour that a relative limit is based
    on. `exceeded` of `judged` minutes are above the limit; both are 1 of all other rules. `valid` is the share of the
    period, or of the worst minute, that has levels; of a year the share of its days.
    """

    id: str
    rule: str
    place: str
    start: datetime
    end: datetime
    worst: datetime
    level: float
    limit: float
    above: float = Field(description="`level` less `limit`")
    ambient: float | None
    exceeded: int
    judged: int
    valid: float


class ExceedanceList(BaseModel):
    """Exceedances, newest first; `next` is the `after` of the next page, null at the end."""

    exceedances: list[ExceedanceView]
    next: str | None


class LimitRuleView(BaseModel):
    """A limit. `hours` and `days` are local time; `places` are sites or `site/sensor`; all if empty."""

    name: str
    title: str
    description: str
    source: str
    note: str
    quantity: Quantity
    period: Period
    limit_db: float | None
    above_ambient_db: float | None
    tolerance_db: float
    inclusive: bool
    hours: list[str]
    days: list[str]
    places: list[str]
    notify: bool


class JudgedView(BaseModel):
    """How many periods of a rule at a sensor ended in the interval, and how many were judged.

    `exceeded` of the `judged` ones are above the limit. `not_judged` ones lack levels for more than 25 % of their
    time, or the ambient level; `uncalibrated` counts those of them with levels in dBFS.
    """

    rule: str
    place: str
    periods: int
    judged: int
    exceeded: int
    not_judged: int
    uncalibrated: int


class LimitsView(BaseModel):
    """All rules of the hub, and their judgements in an interval."""

    since: datetime
    until: datetime
    timezone: str
    rules: list[LimitRuleView]
    counts: list[JudgedView]


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """The judgements of a rule at a sensor in an interval; `periods` is the number of periods that ended."""

    rule: LimitRule
    place: str
    periods: int
    counts: JudgedCounts

    @property
    def not_judged(self) -> int:
        """Return the number of periods that were not judged."""
        return max(0, self.periods - self.counts.judged)


def judged_rows(
    parts: WebContext, rules: Sequence[LimitRule], places: Sequence[str], since_s: int, until_s: int
) -> list[JudgedRow]:
    """Return the judgements of rules at sensors in an interval.

    Args:
        parts: the hub's parts.
        rules: the rules.
        places: each `site/sensor`; a rule that is not for one has no row there.
        since_s: begin, a full hour in seconds since 1970 UTC.
        until_s: end, likewise; the last full hour if it is later.

    Raises:
        InvalidError: the interval is longer than 366 days.
        UnavailableError: the store does not answer.
    """
    until_s = min(until_s, int(datetime.now(UTC).timestamp()) // HOUR_S * HOUR_S)
    if until_s - since_s > MOST_DAYS * 24 * HOUR_S:
        raise InvalidError(f"the interval is longer than {MOST_DAYS} days: choose a later begin or an earlier end")
    zone = parts.places.timezone
    periods = {rule.name: periods_between(rule, since_s, until_s, zone) for rule in rules}
    counts = parts.exceedances.counts([rule.name for rule in rules], places, since_s, until_s)
    return [
        JudgedRow(rule, place, periods[rule.name], counts[rule.name, place])
        for rule in rules
        for place in places
        if rule.is_for(place)
    ]


def exceedance_view(one: Exceedance) -> ExceedanceView:
    """Return an exceedance for the API."""
    return ExceedanceView(
        id=one.id,
        rule=one.rule,
        place=one.place,
        start=datetime.fromtimestamp(one.start_s, UTC),
        end=datetime.fromtimestamp(one.end_s, UTC),
        worst=datetime.fromtimestamp(one.worst_s, UTC),
        level=one.level,
        limit=one.limit,
        above=one.excess,
        ambient=one.ambient,
        exceeded=one.exceeded,
        judged=one.judged,
        valid=one.valid,
    )


def rule_view(rule: LimitRule) -> LimitRuleView:
    """Return a rule for the API."""
    return LimitRuleView(
        name=rule.name,
        title=rule.title,
        description=describe_rule(rule),
        source=rule.source,
        note=rule.note,
        quantity=rule.quantity,
        period=rule.period,
        limit_db=rule.limit_db,
        above_ambient_db=rule.above_ambient_db,
        tolerance_db=rule.tolerance_db,
        inclusive=rule.inclusive,
        hours=[clock(minutes) for minutes in rule.hours or ()],
        days=[WEEKDAYS[day] for day in rule.days],
        places=list(rule.places),
        notify=rule.notify,
    )


def judged_view(row: JudgedRow) -> JudgedView:
    """Return the judgements of a rule at a sensor for the API."""
    return JudgedView(
        rule=row.rule.name,
        place=row.place,
        periods=row.periods,
        judged=row.counts.judged,
        exceeded=row.counts.exceeded,
        not_judged=row.not_judged,
        uncalibrated=row.counts.uncalibrated,
    )


def chosen_rules(parts: WebContext, name: str | None) -> list[LimitRule]:
    """Return the rules of the hub, or the one of a name.

    Raises:
        HTTPException: 404, no rule has this name.
    """
    rules = [rule for rule in parts.limits if name in {None, "", rule.name}]
    if name and not rules:
        known = ", ".join(rule.name for rule in parts.limits) or "none"
        raise HTTPException(404, f"no rule {name}; known are {known}")
    return rules


def chosen_places(parts: WebContext, where: str | None) -> list[str]:
    """Return the sensors of a site, a sensor, or all of them, sorted.

    Args:
        parts: the hub's parts.
        where: a site or `site/sensor`; all if empty.

    Raises:
        UnavailableError: the store does not answer.
    """
    places = sorted(sensor.place for sensor in parts.archive.sensors.all())
    return [place for place in places if not where or where in (place, place.partition("/")[0])]
