"""Under which names the hub answers: the defence against DNS rebinding.

A page of another site may give its own name this hub's address, and the operator's browser then takes the hub for a
part of that site. Its requests bear that name in `Host`, so a name that is not the hub's is refused. An address in
`Host` is answered: a browser that was told the address itself is on the hub's own origin, and probes ask by address.
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
    """Return the names under which this hub answers, in lower case.

    Args:
        bound: address or name that it listens on.
        public_url: its pages as people reach them.
        further: names of the setting `web.allowed_hosts`.
    """
    machine = socket.gethostname()
    names = {"localhost", machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local", bound, *further}
    return frozenset(_plain(name) for name in (*names, urlsplit(public_url).hostname or "localhost"))


def answered(host: str | None, names: frozenset[str]) -> bool:
    """Return whether a request with this `Host` is answered; one without any comes from no browser.

    Args:
        host: the header, with or without a port.
        names: of `own_names`.
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
