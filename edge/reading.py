"""How an agent is at one moment, as plain values that each have one writer: read without a lock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What an agent's metrics are made of.

    Attributes:
        captured: events put in the spool since the start.
        dropped: clips given up because the spool was full.
        unreadable: clips that could not be read.
        failures: times the source failed and was opened again.
        published: events the broker acknowledged since the start, with backlog and repeats.
        spool_events: events that wait.
        spool_bytes: bytes in the spool, with those that are kept to be sent again.
        connected: whether the broker is there.
        held: whether no hub takes events, so that they are kept.
        synchronised: whether the clock is known to be right.
        captured_s: when the last event was put in the spool, seconds since 1970 UTC; None before the first.
        published_s: when the broker last acknowledged one; None before the first.
    """

    captured: int
    dropped: int
    unreadable: int
    failures: int
    published: int
    spool_events: int
    spool_bytes: int
    connected: bool
    held: bool
    synchronised: bool
    captured_s: float | None
    published_s: float | None
