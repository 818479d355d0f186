"""Send alerts as text to the services of Apprise: e-mail, chat, SMS and a hundred more.

Apprise raises no errors: it returns false, and its log of the call holds the reason. It does not distinguish a
rejection from an outage, so the hub retries every failure.
"""

from collections.abc import Sequence

from apprise import Apprise as Service
from apprise import AppriseAsset, NotifyBase, NotifyFormat, NotifyType

from hub.notify.rendering import RenderedMessage
from shared.errors import InvalidError, UnavailableError
from shared.messages.alert import AlertMessage


class Apprise:
    """One Apprise address.

    Args:
        url: address in Apprise's syntax.
        timeout_s: maximum time for one message, in seconds.

    Raises:
        InvalidError: Apprise does not know the address. The error does not quote it, as it may hold a password.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        asset = AppriseAsset(app_id="Earwitness", app_desc="Earwitness", app_url="", async_mode=False)
        service = Service.instantiate(url, asset=asset)
        if not isinstance(service, NotifyBase):
            raise InvalidError("Apprise does not know this url: see https://github.com/caronc/apprise/wiki")
        self._service = Service(asset=asset)
        self._service.add(service)
        self._timeout_s = timeout_s

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """See `Channel.send`."""
        urgent = any(alert.severity == "urgent" for alert in alerts)
        result = self._service.notify(
            text.body,
            title=text.title,
            notify_type=NotifyType.FAILURE if urgent else NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
            timeout=self._timeout_s,
        )
        if not result:
            reason = "; ".join(str(entry.message) for entry in result.logs())
            raise UnavailableError(f"Apprise could not send the message: {reason or 'no reason given'}")
