"""The filters of lists on pages: fields of a form, which links to the next page and to exports keep.

Times without a zone, as browsers send them, are in the hub's time zone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends

from hub.domain.records import to_ms
from hub.domain.verdicts import VerdictState
from hub.store.event_queries import EventFilter
from hub.web.api.filters import SOURCE
from hub.web.api.params import nearest_time
from hub.web.context import WebContext
from hub.web.event_listing import EventListFilter
from hub.web.listing import AlertFilter
from hub.web.resolve import parse_category, parse_place
from shared.errors import InvalidError
from shared.events import check_name
from shared.messages.alert import Severity

Value = TypeVar("Value", bound=str)

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
VERDICT_STATES: Final[tuple[VerdictState, ...]] = get_args(VerdictState)
_TIMES: Final = ("since", "until")
_LEVEL: Final = 200.0


def _given(
    since: str = "",
    until: str = "",
    site: str = "",
    place: str = "",
    category: str = "",
    min_laeq: str = "",
    source: str = "",
    severity: str = "",
    verdict: str = "",
) -> Mapping[str, str]:
    fields = {"since": since, "until": until, "site": site, "place": place, "category": category}
    fields |= {"min_laeq": min_laeq, "source": source, "severity": severity, "verdict": verdict}
    return {name: text.strip() for name, text in fields.items() if text.strip()}


GivenFields = Annotated[Mapping[str, str], Depends(_given)]


@dataclass(frozen=True, slots=True)
class ListFields:
    """The filters of a list, as text.

    Attributes:
        given: the fields that are not empty.
        zone: time zone of times without one.
    """

    given: Mapping[str, str]
    zone: ZoneInfo

    def get(self, name: str) -> str:
        """Return a field; "" if it is empty."""
        return self.given.get(name, "")

    @property
    def query(self) -> str:
        """Return the filters as a query, for links to the same list."""
        return urlencode(self.given)

    @property
    def api_query(self) -> str:
        """Return the filters as a query of the API, with times in UTC."""
        times = {name: at.astimezone(UTC).isoformat() for name in _TIMES if (at := self.time(name)) is not None}
        return urlencode({**self.given, **times})

    def alerts(self) -> AlertFilter:
        """Return the filter of alerts.

        Raises:
            InvalidError: a field is not valid; the text names it.
        """
        return AlertFilter(
            site=check_name(self.get("site"), "site") if self.get("site") else None,
            place=parse_place(self.get("place")),
            category=parse_category(self.get("category")),
            severity=self._one_of("severity", SEVERITIES),
            since=self.time("since"),
            until=self.time("until"),
            min_laeq=self._level(),
            source=self._source(),
            verdict=self._one_of("verdict", VERDICT_STATES),
        )

    def events(self) -> EventListFilter:
        """Return the filter of events.

        Raises:
            InvalidError: a field is not valid; the text names it.
        """
        chosen = self.alerts()
        if chosen.site is not None:
            raise InvalidError("events have no filter `site`: use `place`")
        events = EventFilter(
            since_ms=None if chosen.since is None else to_ms(chosen.since),
            until_ms=None if chosen.until is None else to_ms(chosen.until),
            place=chosen.place,
            category=chosen.category,
            min_laeq=chosen.min_laeq,
        )
        return EventListFilter(events, chosen.source, chosen.severity, chosen.verdict)

    def time(self, name: str) -> datetime | None:
        """Return a time; None if the field is empty.

        Raises:
            InvalidError: not a time.
        """
        text = self.get(name)
        at = _parsed(name, text, datetime.fromisoformat, "a time such as 2026-06-01T07:00") if text else None
        return None if at is None else nearest_time(at if at.tzinfo is not None else at.replace(tzinfo=self.zone))

    def _level(self) -> float | None:
        text = self.get("min_laeq")
        level = _parsed("min_laeq", text, float, "a level in dB such as 65") if text else None
        if level is not None and not -_LEVEL <= level <= _LEVEL:
            raise InvalidError(f"min_laeq {text} is outside [{-_LEVEL:.0f}, {_LEVEL:.0f}] dB")
        return level

    def _source(self) -> str | None:
        text = self.get("source")
        if text and not re.fullmatch(SOURCE, text):
            raise InvalidError(f"{text[:20]!r} is no id of a source: it has ten digits 0 to 9 and a to f")
        return text or None

    def _one_of(self, name: str, known: Sequence[Value]) -> Value | None:
        text = self.get(name)
        found = next((one for one in known if one == text), None)
        if text and found is None:
            raise InvalidError(f"unknown {name} {text[:20]!r}; use one of {', '.join(known)}")
        return found


Parsed = TypeVar("Parsed")


def _parsed(name: str, text: str, parse: Callable[[str], Parsed], form: str) -> Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidError(f"{name} {text[:30]!r}: write {form}") from error


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The values that the form of filters offers; `place` maps places to what the form shows for them."""

    site: Sequence[str]
    place: Mapping[str, str]
    severity: Sequence[str] = SEVERITIES
    verdict: Sequence[str] = VERDICT_STATES


def options_of(parts: WebContext) -> FilterOptions:
    """Return the values that the form of filters offers.

    Raises:
        UnavailableError: the store is unavailable.
    """
    sensors = parts.archive.sensors.all()
    places = {one.place: ", ".join(filter(None, (one.place, one.edits.title))) for one in sensors}
    return FilterOptions(parts.episode_store.sites(), places)
