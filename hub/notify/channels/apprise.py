"""Alerts as text to whatever Apprise reaches: e-mail, chat, SMS and a hundred more.

Apprise keeps errors to itself and answers false; its log of the call then says why. It cannot tell a refusal from an
outage, so every failure is tried again.
"""

from collections.abc import Sequence

from apprise import Apprise as Service
from apprise import AppriseAsset, NotifyBase, NotifyFormat, NotifyType

from hub.notify.rendering import RenderedMessage
from shared.errors import InvalidError, UnavailableError
from shared.messages import AlertMessage


class Apprise:
    """One address.

    Args:
        url: Apprise's form of it.
        timeout_s: longest time for one message.

    Raises:
        Invalid: it is not such an address; it is not quoted, as it may hold a password.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        asset = AppriseAsset(app_id="Earwitness", app_desc="Earwitness", app_url="", async_mode=False)
        found = Service.instantiate(url, asset=asset)
        if not isinstance(found, NotifyBase):
            raise InvalidError("its url is not one that Apprise knows: see https://github.com/caronc/apprise/wiki")
        self._service = Service(asset=asset)
        self._service.add(found)
        self._timeout_s = timeout_s

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        """See `Notifier.send`."""
        urgent = any(alert.severity == "urgent" for alert in alerts)
        result = self._service.notify(
            text.body,
            title=text.title,
            notify_type=NotifyType.FAILURE if urgent else NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
            timeout=self._timeout_s,
        )
        if not result:
            said = "; ".join(str(entry.message) for entry in result.logs())
            raise UnavailableError(f"Apprise could not send it: {said or 'it does not say why'}")
