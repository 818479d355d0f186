"""The three errors of Earwitness, by who must act.

Any other exception is a defect of the program. The hub sets aside a message that causes it (`hub.ingest.quarantine`).
A thread in which it occurs continues (`shared.worker`).
"""


class EarwitnessError(Exception):
    """Base of all errors below, for callers that only report them."""


class InvalidError(EarwitnessError):
    """The data is invalid: dead-letter it with the reason, acknowledge, count; never retry."""


class UnsupportedError(InvalidError):
    """The data may be valid for a newer version: dead-letter it whole, to be re-injected after an upgrade."""


class UnavailableError(EarwitnessError):
    """A broker, store, device or file is unavailable: keep the work, back off, retry."""


class OverloadedError(EarwitnessError):
    """The program is full: stop accepting work until there is room."""
