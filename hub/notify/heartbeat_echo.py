"""Send a heartbeat that came through the pipeline back to the hub that published it."""

from typing import Any, Final

from hub.notify.dispatcher import MQTT
from hub.notify.outbox import Outbox
from hub.store import keys
from hub.store.client import raises_unavailable
from shared.events import Event
from shared.messages.alert import AlertMessage, MatchMessage

KEPT_S: Final = 60
"""Lifetime of a heartbeat's alert in Redis, in seconds. A heartbeat that takes longer counts as missed."""


def build_heartbeat_reply(event: Event) -> AlertMessage:
    """Return the alert that answers a heartbeat; its only match is the heartbeat itself."""
    match = MatchMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        level=0.0,
        shared={},
    )
    return AlertMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        presence={},
        matches=[match],
    )


class HeartbeatResponder:
    """Receives heartbeats from the pipeline and puts the answers into the MQTT outbox.

    Args:
        client: Redis client.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._outbox = Outbox(client, MQTT)

    @raises_unavailable
    def put(self, event: Event) -> None:
        """Queue the answer to a heartbeat.

        Raises:
            UnavailableError: Redis does not answer; a repeated call is safe.
        """
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.alert(str(event.id)), build_heartbeat_reply(event).model_dump_json(), ex=KEPT_S)
            self._outbox.put(pipe, [str(event.id)])
            pipe.execute()
