"""The three errors of Earwitness, split by who must act.

Anything else that is raised is our bug: the program crashes and its supervisor restarts it.
"""


class EarwitnessError(Exception):
    """What every error below is, for callers that only report it."""


class Invalid(EarwitnessError):  # noqa: N818 - a verdict, read as "raise Invalid"
    """Their data is wrong: dead-letter it with the reason, acknowledge, count; never retry."""


class Unavailable(EarwitnessError):  # noqa: N818
    """The world is away (broker, store, device): keep the work, back off, retry."""


class Busy(EarwitnessError):  # noqa: N818
    """We are full: stop taking until there is room."""
