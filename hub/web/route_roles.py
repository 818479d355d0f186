"""The table of all routes: the role that each needs, and the entry that it makes in the audit log.

A test compares it with the routes of the application: a route without a row fails the test, and answers 404 while
pages need a login. A row for a new page with numbers, lists or charts is `VIEW`; with sound `PLAY`; with a file that
leaves the hub `EXPORT`; for a change `JUDGE` (a verdict), `OPERATE` (of alerts, names, sensors) or
`ERASE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.routing import compile_path

from hub.domain.accounts import ROLES, Role
from hub.store.audit_log import AuditAction


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A row of the table.

    Attributes:
        role: least role that may use the route; None if it needs no login.
        audit: action in the audit log; None if the log gets no entry.
    """

    role: Role | None
    audit: AuditAction | None = None


PUBLIC: Final = RouteRule(None)
VIEW: Final = RouteRule("viewer")
PLAY: Final = RouteRule("inspector", "played")
EXPORT: Final = RouteRule("inspector", "exported")
JUDGE: Final = RouteRule("inspector", "changed")
CONFIGURATION: Final = RouteRule("operator")
OPERATE: Final = RouteRule("operator", "changed")
ERASE: Final = RouteRule("operator", "erased")
ADMINISTER: Final = RouteRule("admin")

_API: Final = "/api/v1"
ROUTE_RULES: Final[Mapping[str, RouteRule]] = {
    "GET /login": PUBLIC,
    "POST /login": PUBLIC,
    "POST /logout": PUBLIC,
    "GET /static/{path:path}": PUBLIC,
    "GET /favicon": PUBLIC,
    "GET /favicon.ico": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /healthz/live": PUBLIC,
    "GET /healthz/ready": PUBLIC,
    "GET /metrics": VIEW,
    "GET /openapi.json": VIEW,
    "GET /docs": VIEW,
    # pages
    "GET /": VIEW,
    "GET /alerts": VIEW,
    "GET /alerts/{alert_id}": VIEW,
    "GET /compare": VIEW,
    "GET /events": VIEW,
    "GET /events/{event_id}": VIEW,
    "GET /levels": VIEW,
    "GET /levels/{site}": VIEW,
    "GET /levels/{site}/{name}": VIEW,
    "GET /levels/{site}/{name}/categories": VIEW,
    "GET /limits": VIEW,
    "GET /map": VIEW,
    "GET /names": VIEW,
    "GET /patterns": VIEW,
    "GET /patterns/{site}/{sensor}/{category}": VIEW,
    "GET /search": VIEW,
    "POST /search": VIEW,
    "GET /sensors": VIEW,
    "GET /sensors/{site}/{name}": VIEW,
    "GET /sources": VIEW,
    "GET /sources/{source_id}": VIEW,
    "GET /settings": CONFIGURATION,
    "GET /audit": ADMINISTER,
    "POST /settings/channels/{name}/test": OPERATE,
    # forms of pages
    "POST /alerts/{alert_id}/verdict": JUDGE,
    "POST /alerts/{alert_id}/verdict/withdraw": JUDGE,
    "POST /sources/{source_id}/join": JUDGE,
    "POST /sources/{source_id}/leave": JUDGE,
    "POST /names": OPERATE,
    "POST /names/{name_id}": OPERATE,
    "POST /names/{name_id}/remove": ERASE,
    "POST /sources/{source_id}/name": OPERATE,
    "POST /sensors/{site}/{name}/commands": OPERATE,
    "POST /sensors/{site}/{name}/edits": OPERATE,
    # data of the API
    f"GET {_API}/alerts": VIEW,
    f"GET {_API}/alerts/{{alert_id}}": VIEW,
    f"GET {_API}/alerts/{{alert_id}}/feedback": VIEW,
    f"GET {_API}/episodes": VIEW,
    f"GET {_API}/episodes/{{episode_id}}": VIEW,
    f"GET {_API}/events": VIEW,
    f"GET {_API}/events/{{event_id}}": VIEW,
    f"GET {_API}/events/{{event_id}}/explanation": VIEW,
    f"GET {_API}/events/{{event_id}}/similar": VIEW,
    f"GET {_API}/events/{{event_id}}/spectrogram.png": VIEW,
    f"GET {_API}/feedback": VIEW,
    f"GET {_API}/levels": VIEW,
    f"GET {_API}/levels/bands": VIEW,
    f"GET {_API}/levels/bands.png": VIEW,
    f"GET {_API}/levels/comparison": VIEW,
    f"GET {_API}/levels/days": VIEW,
    f"GET {_API}/levels/nights": VIEW,
    f"GET {_API}/levels/partial": VIEW,
    f"GET {_API}/exceedances": VIEW,
    f"GET {_API}/limits": VIEW,
    f"GET {_API}/names": VIEW,
    f"GET {_API}/names/{{name_id}}": VIEW,
    f"GET {_API}/names/{{name_id}}/examples/{{event_id}}/spectrogram.png": VIEW,
    f"GET {_API}/patterns/{{site}}/{{sensor}}/{{category}}": VIEW,
    f"GET {_API}/sensors": VIEW,
    f"GET {_API}/sensors/{{site}}/{{sensor}}/commands": CONFIGURATION,
    f"GET {_API}/sites/{{site}}/thresholds": VIEW,
    f"GET {_API}/sources": VIEW,
    f"GET {_API}/sources/{{source_id}}": VIEW,
    f"GET {_API}/sources/{{source_id}}/episodes": VIEW,
    f"GET {_API}/stream": VIEW,
    f"POST {_API}/search": VIEW,
    # exports of pages
    "GET /evidence/{site}": EXPORT,
    "GET /evidence/{site}/{name}": EXPORT,
    # sound and exports of the API
    f"GET {_API}/events/{{event_id}}/audio": PLAY,
    f"GET {_API}/events/{{event_id}}/sealed-audio": PLAY,
    f"GET {_API}/names/{{name_id}}/examples/{{event_id}}/audio": PLAY,
    f"GET {_API}/export/events.{{form}}": EXPORT,
    f"GET {_API}/export/alerts.{{form}}": EXPORT,
    f"GET {_API}/export/exceedances.{{form}}": EXPORT,
    f"GET {_API}/export/feedback.{{form}}": EXPORT,
    # changes by the API
    f"POST {_API}/alerts/{{alert_id}}/feedback": JUDGE,
    f"POST {_API}/alerts/{{alert_id}}/feedback/withdraw": JUDGE,
    f"POST {_API}/feedback": JUDGE,
    f"POST {_API}/sources/{{source_id}}/join": JUDGE,
    f"POST {_API}/sources/{{source_id}}/leave": JUDGE,
    f"POST {_API}/names": OPERATE,
    f"PATCH {_API}/names/{{name_id}}": OPERATE,
    f"DELETE {_API}/names/{{name_id}}": ERASE,
    f"POST {_API}/sources/{{source_id}}/name": OPERATE,
    f"POST {_API}/sensors/{{site}}/{{sensor}}/commands": OPERATE,
    f"PATCH {_API}/sensors/{{site}}/{{sensor}}": OPERATE,
}
_PATTERNS: Final = tuple(
    (route.partition(" ")[0], compile_path(route.partition(" ")[2])[0], rule) for route, rule in ROUTE_RULES.items()
)


def rule_of(method: str, path: str) -> RouteRule | None:
    """Return the rule of a request: the strictest one, if several rows match; None if no row matches.

    Args:
        method: HTTP method; HEAD counts as GET.
        path: decoded path of the request.
    """
    wanted = "GET" if method == "HEAD" else method
    found = [rule for known, pattern, rule in _PATTERNS if known == wanted and pattern.fullmatch(path)]
    return max(found, key=_strictness, default=None)


def methods_of(path: str) -> list[str]:
    """Return the methods of a path, sorted; none if no row matches."""
    return sorted({method for method, pattern, _ in _PATTERNS if pattern.fullmatch(path)})


def _strictness(rule: RouteRule) -> tuple[int, bool]:
    return (-1 if rule.role is None else ROLES.index(rule.role)), rule.audit is not None
