"""Refused requests: their reasons, and how they are answered, logged and counted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from hub.domain.refusal_reasons import RefusalReason

log = logging.getLogger(__name__)

_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request.

    Attributes:
        reason: kind of the refusal, for logs and the metric.
        code: status of the answer.
        detail: what is wrong and what to do.
        headers: headers of the answer.
    """

    reason: RefusalReason
    code: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Response:
        """Return the answer for a program."""
        return JSONResponse({"detail": self.detail}, status_code=self.code, headers=dict(self.headers))


class RefusalRecorder:
    """Logs and counts refused requests.

    Args:
        counter: counter with the label `reason`.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def record(self, reason: RefusalReason, scope: Scope, who: str = "") -> None:
        """Log and count a refused request.

        Args:
            reason: kind of the refusal.
            scope: the request.
            who: the client, as far as it is known.
        """
        self._counter.labels(reason).inc()
        request = f"{scope['method']} {scope['path']}"[:_LONGEST]
        log.warning(
            "request refused",
            extra={"reason": reason, "request": request, "address": address_of(scope), "who": who},
        )


def address_of(scope: Scope) -> str:
    """Return the network address of a request's client; "" if it is unknown."""
    client = scope.get("client")
    return str(client[0]) if client else ""
