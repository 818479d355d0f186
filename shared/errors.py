"""The three errors of Earwitness, split by who must act.

Anything else that is raised is our bug. One message that meets it is set aside (`hub.ingest.quarantine`); a thread
that meets it goes on (`shared.worker`).
"""


class EarwitnessError(Exception):
    """What every error below is, for callers that only report it."""


class Invalid(EarwitnessError):  # noqa: N818 - a verdict, read as "raise Invalid"
    """Their data is wrong: dead-letter it with the reason, acknowledge, count; never retry."""


class Unsupported(Invalid):
    """Their data may be right, but this program does not know it yet: dead-letter it whole, to be re-injected."""


class Unavailable(EarwitnessError):  # noqa: N818
    """The world is away (broker, store, device): keep the work, back off, retry."""


class Busy(EarwitnessError):  # noqa: N818
    """We are full: stop taking until there is room."""
