"""Listening on a name or an address, of either family."""

import socket
from contextlib import suppress
from typing import Final

_NO_SUCH_FAMILY: Final = "no address of it can be listened on here"


def plain_host(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_url(host: str) -> str:
    """Return a host as a URL writes it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def listeners(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that a host has; `::` takes IPv4 too.

    Args:
        host: a name or an address, without brackets.
        port: 0 for one that is free.

    Raises:
        OSError: no such name, or an address that cannot be bound; nothing is left open.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address[0]) for family, _, _, _, address in found):
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            own_port = opened[0].getsockname()[1] if opened else port
            both = family == socket.AF_INET6 and address == "::" and socket.has_dualstack_ipv6()
            where = (str(address), own_port)
            opened.append(socket.create_server(where, family=family, dualstack_ipv6=both))
    except OSError:
        for one in opened:
            with suppress(OSError):
                one.close()
        raise
    if not opened:
        raise OSError(0, _NO_SUCH_FAMILY)
    return opened
