"""What a connection to the broker tells its owner, and what it leaves as its last will."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is up.

    Attributes:
        session_present: whether the broker kept our session.
        epoch: which connection it is; they count up from 1.
        maximum_packet: largest packet in bytes that the broker takes; None if it sets no limit.
        receive_maximum: most unacknowledged messages that the broker takes; None if it sets no limit.
        shared_subscriptions: whether the broker has them, as it says. Source: MQTT 5.0, 3.2.2.3.13.
    """

    session_present: bool
    epoch: int
    maximum_packet: int | None = None
    receive_maximum: int | None = None
    shared_subscriptions: bool = True


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker's SUBACK: `reason` is the quality of service that it grants, or why it refuses (from 0x80 on)."""

    topic_filter: str
    reason: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection, or an attempt at one, ended; `code` is the MQTT 5 reason code, if there was one."""

    reason: str
    epoch: int
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message for one of our subscriptions; QoS 1 ones wait for `Link.acknowledge`.

    `received_s` is when it came, on the clock of `time.monotonic`. `expiry_s` is what was left of its message expiry
    interval when the broker sent it; None if it has none.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool
    content_type: str | None
    epoch: int
    received_s: float = 0.0
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker's PUBACK for a message of ours; `reason` is its MQTT 5 reason code."""

    mid: int
    reason: int
    epoch: int


MqttEvent = Connected | Disconnected | Subscribed | Received | Acknowledged


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes for us if we vanish; `at_stop`: and also when we leave on purpose."""

    topic: str
    payload: bytes
    retain: bool = True
    at_stop: bool = False
