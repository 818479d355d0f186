"""Refuses query parameters that an address does not know: one that is mistyped would be ignored in silence."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.errors import InvalidError

_SHOWN = 60


def known_parameters(request: Request) -> None:
    """Check the parameters of a request against those of its route.

    Raises:
        Invalid: one that the route does not have; names it, and those that there are.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    known = sorted(_names(route.dependant))
    if strange := sorted(set(request.query_params) - set(known)):
        there_are = f"there are {', '.join(known)}" if known else "there are none here"
        raise InvalidError(
            f"unknown parameters {', '.join(repr(name[:_SHOWN]) for name in strange[:4])}; {there_are}"
        )


def _names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_names(one) for one in dependant.dependencies))
