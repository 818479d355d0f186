"""Send a heartbeat that came through the pipeline back to the hub that published it."""

from typing import Any, Final

from hub.notify.dispatcher import MQTT
from hub.notify.outbox import Outbox
from hub.store import keys
from hub.store.events import translated
from shared.events import Event
from shared.messages import AlertMessage, MatchMessage

KEPT_S: Final = 60
"""How long a heartbeat's alert is in the store, and after which one that is not back counts as missed."""


def build_heartbeat_reply(event: Event) -> AlertMessage:
    """What comes back of a heartbeat: an alert that resembles nothing but itself."""
    own = MatchMessage(
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
        matches=[own],
    )


class HeartbeatResponder:
    """Where heartbeats go from the pipeline: into the store, and from there on their way back.

    Args:
        client: the store's client.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._outbox = Outbox(client, MQTT)

    @translated
    def put(self, event: Event) -> None:
        """Put a heartbeat on its way back.

        Raises:
            Unavailable: the store is away; putting it again is safe.
        """
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.alert(str(event.id)), build_heartbeat_reply(event).model_dump_json(), ex=KEPT_S)
            self._outbox.put(pipe, [str(event.id)])
            pipe.execute()
