"""Send alerts as signed JSON to a webhook, so that the receiver can verify their origin, integrity and age.

The signature is an HMAC-SHA256, keyed with the shared secret, over the timestamp, a dot and the body, in hexadecimal
after "v1=". The delivery id depends on the alerts' ids alone, so a repeated delivery has the same id. A receiver that
stores these ids can skip repetitions. docs/alerts.md shows how to check a signature.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from hub.notify.rendering import RenderedMessage
from hub.runtime.clock import utc_now
from shared.messages.alert import AlertMessage

if TYPE_CHECKING:
    from hub.notify.http import JsonPoster

VERSION: Final = 1
TIMESTAMP: Final = "Earwitness-Timestamp"
SIGNATURE: Final = "Earwitness-Signature"
DELIVERY: Final = "Earwitness-Delivery"


class Webhook:
    """A webhook.

    Args:
        poster: HTTP client for its address.
        key: key of the signature; None sends no signature.
        now: returns the current time, UTC.
    """

    def __init__(self, poster: "JsonPoster", key: bytes | None, now: Callable[[], datetime] = utc_now) -> None:
        self._poster = poster
        self._key = key
        self._now = now

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """See `Channel.send`."""
        delivery = delivery_id(alerts)
        body = json.dumps(
            {
                "version": VERSION,
                "delivery": delivery,
                "title": text.title,
                "text": text.body,
                "page": text.page,
                "alerts": [alert.model_dump(mode="json") for alert in alerts],
            }
        ).encode()
        timestamp = str(int(self._now().timestamp()))
        headers = {DELIVERY: delivery, TIMESTAMP: timestamp}
        if self._key is not None:
            headers[SIGNATURE] = signature(self._key, timestamp, body)
        self._poster.post(body, headers)


def delivery_id(alerts: Sequence[AlertMessage]) -> str:
    """Return the id of a delivery of these alerts, the same for each repetition."""
    return hashlib.sha256("\n".join(alert.event for alert in alerts).encode()).hexdigest()[:32]


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header.

    Args:
        key: secret shared with the receiver.
        timestamp: seconds since 1970 UTC, as in the timestamp header.
        body: body of the request.
    """
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
