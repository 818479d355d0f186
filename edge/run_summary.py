"""The result of one run of a sensor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The result of a run.

    Attributes:
        sensor: name of the sensor.
        captured: events put in the spool in this run.
        published: events that the broker acknowledged in this run, including backlog and repeats.
        spooled: events that still wait in the spool.
        set_aside: events kept in the spool that the broker cannot take.
        dropped: clips dropped because the spool was full.
        unreadable: clips that could not be read.
    """

    sensor: str
    captured: int
    published: int
    spooled: int
    set_aside: int
    dropped: int
    unreadable: int
