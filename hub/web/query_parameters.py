"""Reject unknown query parameters; FastAPI would ignore a mistyped one silently."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.errors import InvalidError

_SHOWN = 60


def known_parameters(request: Request) -> None:
    """Check the parameters of a request against those of its route.

    Raises:
        InvalidError: the route does not have a parameter; the text names it and the known ones.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    known = sorted(_names(route.dependant))
    if unknown := sorted(set(request.query_params) - set(known)):
        hint = f"known are {', '.join(known)}" if known else "this address has none"
        raise InvalidError(f"unknown parameters {', '.join(repr(name[:_SHOWN]) for name in unknown[:4])}; {hint}")


def _names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_names(dependency) for dependency in dependant.dependencies))
