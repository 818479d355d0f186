"""The reason codes of MQTT 5 that the programs decide by."""

from typing import Final

FAILURE: Final = 0x80
"""Reason codes from this one on are failures. Source: MQTT 5.0, 2.4."""
NO_MATCHING_SUBSCRIBERS: Final = 0x10
"""The broker dropped a message because it has no subscribers. Source: MQTT 5.0, 3.4.2.1."""
SESSION_TAKEN_OVER: Final = 0x8E
"""Another client connected with our client id. Source: MQTT 5.0, 3.14.2.1."""
OTHER_PROTOCOL: Final = frozenset({0x01, 0x84})
"""Unsupported protocol version. Source: MQTT 3.1.1, 3.2.2.3; MQTT 5.0, 3.2.2.2."""
