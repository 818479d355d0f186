"""What a broker has for a client at this moment, without a wait for what may not come."""

import itertools
from typing import Final

from shared.mqtt.session import MqttSession, Received

_numbers: Final = itertools.count()


def drained(link: MqttSession) -> list[bytes]:
    """Payloads that come before a message that the link sends to itself, acknowledged, in order."""
    own, payloads = f"test/{next(_numbers)}", list[bytes]()
    link.subscribe(own)
    link.publish(own, b"")
    while True:
        signal = link.signals.get(timeout=20)
        if isinstance(signal, Received):
            link.acknowledge(signal)
            if signal.topic == own:
                link.unsubscribe(own)
                return payloads
            payloads.append(signal.payload)
