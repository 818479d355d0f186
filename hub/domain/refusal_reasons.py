"""Reasons for which the hub refuses an HTTP request."""

from typing import Final, Literal, get_args

RefusalReason = Literal[
    "host",
    "path",
    "origin",
    "proxy",
    "login",
    "credentials",
    "role",
    "route",
    "attempts",
    "size",
    "slow",
    "unavailable",
]
"""`host`: unknown name in `Host`. `path`: leads out of a folder. `origin`: a change from another site. `proxy`: came
through a proxy although pages have no login. `login`: no credentials. `credentials`: wrong or expired ones. `role`:
the role does not suffice. `route`: no such route. `attempts`: too many logins. `size`, `slow`: of the body.
`unavailable`: sessions or the audit log cannot be reached."""
REFUSAL_REASONS: Final[tuple[RefusalReason, ...]] = get_args(RefusalReason)
