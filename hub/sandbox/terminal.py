"""Format the demo's output: alerts, and links to pages."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.messages.alert import AlertMessage

_LOCALTIME: Final = Path("/etc/localtime")
_SEVERITIES: Final = ("urgent", "recurring", "notice")


def machine_zone(localtime: Path = _LOCALTIME) -> ZoneInfo:
    """Return the machine's time zone, from TZ or what /etc/localtime links to; UTC if neither names one."""
    names = [os.environ.get("TZ", "")]
    if localtime.is_symlink():
        names.append(str(localtime.readlink()).partition("zoneinfo/")[2])
    for name in filter(None, names):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def describe(alert: AlertMessage, zone: ZoneInfo) -> str:
    """Return an alert as two lines of console markup: its categories, and the best match with the reason."""
    best = alert.matches[0]
    about = ", ".join(alert.categories)
    above = "" if alert.above_ambient_db is None else f", {alert.above_ambient_db:+.0f} dB to ambient"
    likely = alert.match_probability or 0.0
    more = f" (and {len(alert.matches) - 1} more)" if len(alert.matches) > 1 else ""
    both = ", ".join(f"{name} {p:.0%}" for name, p in best.shared.items())
    at, before = alert.captured_at.astimezone(zone), best.captured_at.astimezone(zone)
    then = f"{before:%H:%M:%S}" if before.date() == at.date() else f"{before:%a} {before.day} {before:%b, %H:%M}"
    return (
        f"[bold]{at:%H:%M:%S} {alert.site}/{alert.sensor}: {about}[/bold] ({alert.severity}) "
        f"at {alert.laeq:.0f} {alert.level_unit}{above}\n"
        f"         {likely:.0%} probability of the same kind of sound as {then} at "
        f"{best.site}/{best.sensor}{more}: both have {both}"
    )


def links(web: str, alerts: Sequence[AlertMessage]) -> list[tuple[str, str]]:
    """Return the four pages to open first, each with a description and its URL.

    They include the most severe alert, and the pattern whose next window exceeds its base rate most.

    Args:
        web: URL of the hub's page.
        alerts: alerts, newest first.
    """
    chosen: list[tuple[str, str]] = []
    of = {alert.severity: alert for alert in reversed(alerts)}
    severe = next((of[name] for name in _SEVERITIES if name in of), None)
    if severe is None:
        chosen.append(("all alerts", f"{web}/alerts"))
    else:
        shows = {"urgent": "an urgent alert", "recurring": "a recurring alert", "notice": "an alert"}[severe.severity]
        chosen.append((shows, f"{web}/alerts/{severe.event}"))
    recurring = [(alert, alert.recurrence) for alert in alerts if alert.recurrence is not None]
    forecast = [(alert, known, known.next) for alert, known in recurring if known.next is not None]
    if forecast:
        alert, recurrence, _ = max(forecast, key=lambda one: one[2].probability / max(one[2].base_rate, 0.01))
        address = f"{web}/patterns/{alert.site}/{alert.sensor}/{recurrence.category}"
        chosen.append((f"a pattern ({recurrence.category}, {recurrence.regularity})", address))
    else:
        chosen.append(("patterns", f"{web}/patterns"))
    return [*chosen, ("the map of the sensors", f"{web}/map"), ("the API", f"{web}/docs")]
