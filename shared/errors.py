"""The three errors of Earwitness, split by who must act.

Anything else that is raised is our bug. One message that meets it is set aside (`hub.ingest.quarantine`); a thread
that meets it goes on (`shared.worker`).
"""


class EarwitnessError(Exception):
    """What every error below is, for callers that only report it."""


class InvalidError(EarwitnessError):
    """Their data is wrong: dead-letter it with the reason, acknowledge, count; never retry."""


class UnsupportedError(InvalidError):
    """Their data may be right, but this program does not know it yet: dead-letter it whole, to be re-injected."""


class UnavailableError(EarwitnessError):
    """The world is away (broker, store, device): keep the work, back off, retry."""


class OverloadedError(EarwitnessError):
    """We are full: stop taking until there is room."""
