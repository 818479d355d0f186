"""The signals of a connection to the broker, and its last will."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is up.

    Attributes:
        session_present: whether the broker kept the session.
        epoch: number of the connection, from 1.
        maximum_packet: maximum packet size in bytes that the broker accepts; None without a limit.
        receive_maximum: most unacknowledged messages that the broker accepts; None without a limit.
        shared_subscriptions: whether the broker supports shared subscriptions. Source: MQTT 5.0, 3.2.2.3.13.
    """

    session_present: bool
    epoch: int
    maximum_packet: int | None = None
    receive_maximum: int | None = None
    shared_subscriptions: bool = True


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker's SUBACK; `reason` is the granted quality of service, or the reason of a refusal (from 0x80 on)."""

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
    """A message for one of this client's subscriptions; with QoS 1 it waits for `MqttSession.acknowledge`.

    `received_s` is the time of receipt, on the clock of `time.monotonic`. `expiry_s` is the rest of its message
    expiry interval when the broker sent it; None if it has none.
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
    """The broker's PUBACK for a published message; `reason` is its MQTT 5 reason code."""

    mid: int
    reason: int
    epoch: int


MqttEvent = Connected | Disconnected | Subscribed | Received | Acknowledged


@dataclass(frozen=True, slots=True)
class LastWill:
    """The message that the broker publishes if this client vanishes; with `at_stop` also if it disconnects."""

    topic: str
    payload: bytes
    retain: bool = True
    at_stop: bool = False
