"""Delivery policy of a notification channel: quiet hours, digests, a daily limit, escalation, retries.

No channel is sent an alert about a replay of old recordings, or about a clip that came long after its capture. Such
alerts are kept and listed.

An alert that comes in quiet hours, or after the most a day went out, is held back. What is held goes out as one
message, the digest, at the next digest time: when quiet hours end, and at the hour set for it. An urgent alert is
never held. Times of day are the sites' own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, get_args
from zoneinfo import ZoneInfo

from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, Severity

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the least to the most severe."""
HEAD_OF_LINE_RETRIES: Final = 6
"""After this number of failures of one message, later ones are tried: the fault may lie in the message."""
_MORNING: Final = time(8)


@dataclass(frozen=True, slots=True)
class TimeOfDayRange:
    """A part of each day, from `start` until just before `end`; past midnight if `end` is earlier."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "TimeOfDayRange":
        """Read "22:00-06:00".

        Raises:
            InvalidError: it is not of that form, or begins when it ends.
        """
        start, hyphen, end = text.partition("-")
        hours = cls(parse_time_of_day(start), parse_time_of_day(end)) if hyphen else None
        if hours is None or hours.start == hours.end:
            raise InvalidError(f"{text!r} is not a part of the day like 22:00-06:00")
        return hours

    def __contains__(self, at: time) -> bool:
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


def parse_time_of_day(text: str) -> time:
    """Read "08:00".

    Raises:
        InvalidError: it is not a time of day of that form.
    """
    try:
        return datetime.strptime(text.strip(), "%H:%M").time()  # noqa: DTZ007 - a time of day has no date
    except ValueError:
        raise InvalidError(f"{text!r} is not a time of day like 08:00") from None


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The messages that one notification channel sends, and their times.

    Attributes:
        zone: whose times of day are meant.
        least: the least severe alerts that it is sent.
        sites: whose alerts it is sent; all if empty.
        quiet: hours in which only urgent alerts are sent.
        digest_time: when held alerts go out, besides the end of quiet hours; without both, it is 08:00.
        max_per_day: most alerts sent on their own in 24 hours; all if None.
    """

    zone: ZoneInfo
    least: Severity = "notice"
    sites: frozenset[str] = frozenset()
    quiet: TimeOfDayRange | None = None
    digest_time: time | None = None
    max_per_day: int | None = None

    def __post_init__(self) -> None:
        if self.quiet is not None and self.digest_time is not None and self.digest_time in self.quiet:
            raise InvalidError(f"a digest at {self.digest_time:%H:%M} would come in quiet hours")

    @property
    def digest_times(self) -> tuple[time, ...]:
        """The times of day at which held alerts go out."""
        times = {self.digest_time, self.quiet.end if self.quiet else None} - {None}
        return tuple(sorted(one for one in times if one is not None)) or (_MORNING,)

    def accepts(self, alert: AlertMessage) -> bool:
        """Return whether the channel is sent an alert at all."""
        severe = SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.least)
        return severe and (not self.sites or alert.site in self.sites)

    def quiet_at(self, now: datetime) -> bool:
        """Return whether a moment lies in quiet hours."""
        return self.quiet is not None and now.astimezone(self.zone).time() in self.quiet

    def should_defer(self, alerts: Iterable[AlertMessage], now: datetime, sent: int, *, digest: bool = False) -> bool:
        """Return whether a message must wait for the next digest.

        Args:
            alerts: of the message.
            now: the time.
            sent: alerts that went out on their own in the last 24 hours.
            digest: it is one; then the most a day does not matter.
        """
        if any(alert.severity == "urgent" for alert in alerts):
            return False
        full = self.max_per_day is not None and sent >= self.max_per_day
        return self.quiet_at(now) or (full and not digest)

    def next_digest(self, after: datetime) -> datetime:
        """Return the first digest time after a moment, UTC.

        Where clocks are set back, an hour comes twice, and so may the digest; where they are set forward, a digest
        time that is left out comes as much later as they were set.
        """
        day = after.astimezone(self.zone).date()
        return min(
            moment
            for ahead in (0, 1, 2)
            for at in self.digest_times
            for moment in self._moments(day + timedelta(days=ahead), at)
            if moment > after and not self.quiet_at(moment)
        )

    def _moments(self, day: date, at: time) -> Iterator[datetime]:
        """Return the moments of that time on that day: one, but two where clocks are set back."""
        first = datetime.combine(day, at, self.zone).astimezone(UTC)
        again = datetime.combine(day, at.replace(fold=1), self.zone).astimezone(UTC)
        yield first
        if again > first:  # it is earlier where clocks are set forward
            yield again

    def digest_due(self, held_since: datetime | None, now: datetime) -> bool:
        """Return whether what is held must go out now.

        Args:
            held_since: since when the first of it waits; None if nothing does.
            now: the time.
        """
        if held_since is None or self.quiet_at(now):
            return False
        return self.next_digest(held_since) <= now


def is_news(alert: AlertMessage, late_after_s: float) -> bool:
    """Return whether an alert is about a recent clip, so that it is sent.

    Args:
        alert: to be sent.
        late_after_s: a clip that arrives this time after its end is not sent, in seconds.
    """
    return not alert.backfilled and alert.delay_s <= late_after_s


def failures_allowed(attempts: int) -> int:
    """Return the number of messages that may fail in one round before the channel rests.

    Args:
        attempts: how often the first of them has failed.
    """
    return 1 + max(0, attempts - HEAD_OF_LINE_RETRIES)


def is_expired(put_at: datetime, now: datetime, expire_after_s: float) -> bool:
    """Return whether a message that still cannot be sent has waited long enough."""
    return (now - put_at).total_seconds() >= expire_after_s
