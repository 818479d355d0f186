"""Decide which names in `Host` the hub answers: the defence against DNS rebinding.

Another site can point its own name at this hub's address. The operator's browser then treats the hub as a part of
that site. Such a request has that name in `Host`, so the hub rejects names that are not its own. The hub accepts
addresses in `Host`: a browser that uses the address is on the hub's own origin, and probes use addresses.
Source: RFC 9110, 7.2 (Host), 15.5.20 (421 Misdirected Request); RFC 6761, 6.3 (localhost).
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
_HOST: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::[0-9]{0,5})?")


def own_names(bound: str, public_url: str, further: Iterable[str]) -> frozenset[str]:
    """Return the names that this hub answers to, in lower case.

    Args:
        bound: address or name that the hub listens on.
        public_url: public address of the hub's pages.
        further: names from the setting `web.allowed_hosts`.
    """
    machine = socket.gethostname()
    names = {"localhost", machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local", bound, *further}
    return frozenset(_plain(name) for name in (*names, urlsplit(public_url).hostname or "localhost"))


def answered(host: str | None, names: frozenset[str]) -> bool:
    """Return whether the hub answers a request with this `Host`; a request without `Host` comes from no browser.

    Args:
        host: value of the header, with or without a port; None if it is missing.
        names: names from `own_names`.
    """
    if not host or ANY in names:
        return True
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = _plain(match["host"])
    return name in names or name.endswith(".localhost") or _is_address(name)


def _plain(name: str) -> str:
    return name.strip("[]").lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
