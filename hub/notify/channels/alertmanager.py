"""Send alerts to a Prometheus Alertmanager, which groups, silences and routes them by their labels.

An alert fires from the capture time of the sound until `resolve_after_s` after it was sent. An alert with the same
labels within that time extends it. Source: Alertmanager's API v2, `POST /api/v2/alerts`.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from hub.notify.rendering import RenderedMessage, alert_categories
from hub.runtime.clock import utc_now
from shared.messages.alert import AlertMessage

if TYPE_CHECKING:
    from hub.notify.http import JsonPoster

NAME: Final = "SimilarPastEvents"
PATH: Final = "/api/v2/alerts"


class Alertmanager:
    """An Alertmanager.

    Args:
        poster: HTTP client for its address, with `PATH`.
        resolve_after_s: time from sending an alert until it resolves, in seconds.
        now: returns the current time, UTC.
    """

    def __init__(self, poster: "JsonPoster", resolve_after_s: float, now: Callable[[], datetime] = utc_now) -> None:
        self._poster = poster
        self._firing = timedelta(seconds=resolve_after_s)
        self._now = now

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """See `Channel.send`."""
        now = self._now()
        self._poster.post(json.dumps([self._posted(alert, text, now) for alert in alerts]).encode())

    def _posted(self, alert: AlertMessage, text: RenderedMessage, now: datetime) -> dict[str, object]:
        return {
            "labels": {
                "alertname": NAME,
                "site": alert.site,
                "sensor": alert.sensor,
                "category": next(iter(alert_categories(alert)), "unknown"),
                "severity": alert.severity,
                **({"name": alert.name} if alert.name else {}),
            },
            "annotations": {"summary": text.title, "description": text.body, "page": text.page},
            "startsAt": min(alert.captured_at, now).isoformat(),
            "endsAt": (now + self._firing).isoformat(),
            "generatorURL": text.page,
        }
