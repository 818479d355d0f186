"""Alerts on their way out: published on the site's alert topic, kept in the archive until the broker has them."""

import logging
from collections.abc import Iterable

from hub.archive import Archive
from shared.errors import Unavailable
from shared.messages import JSON_CONTENT_TYPE, AlertMessage, encode_json
from shared.mqtt import FAILURE, Link
from shared.topics import AlertTopic

log = logging.getLogger(__name__)


class Outbox:
    """Publishes alerts; used from one thread only.

    Args:
        archive: remembers which alerts the broker does not have yet.
        link: the connection.
    """

    def __init__(self, archive: Archive, link: Link) -> None:
        self._archive = archive
        self._link = link
        self._under_way: dict[int, str] = {}

    def send(self, alert: AlertMessage) -> None:
        """Publish an alert that the archive already keeps; without a connection it waits there."""
        try:
            mid = self._link.publish(str(AlertTopic(alert.site)), encode_json(alert), content_type=JSON_CONTENT_TYPE)
        except Unavailable:
            return
        self._under_way[mid] = alert.event

    def flush(self) -> None:
        """Publish every alert that waits in the archive and is not under way."""
        try:
            waiting = self._archive.unpublished()
        except Unavailable as error:
            log.warning("waiting alerts not read", extra={"reason": str(error)})
            return
        under_way = set(self._under_way.values())
        for alert in waiting:
            if alert.event not in under_way:
                self.send(alert)

    def acknowledged_all(self, answers: Iterable[tuple[int, int]]) -> None:
        """Note the broker's answers, (message id, reason code); an alert it refused stays for the next flush."""
        taken = []
        for mid, reason in answers:
            event = self._under_way.pop(mid, None)
            if event is None:
                continue
            if reason >= FAILURE:
                log.warning("alert refused by the broker", extra={"event": event, "reason_code": reason})
            else:
                taken.append(event)
        if not taken:
            return
        try:
            self._archive.published(taken)
        except Unavailable as error:
            log.warning("alerts will be published again", extra={"alerts": len(taken), "reason": str(error)})
