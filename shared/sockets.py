"""Listen on a host name or an address, with IPv4 and IPv6."""

import ipaddress
import socket
from contextlib import suppress
from typing import Final

_NO_SUCH_FAMILY: Final = "this machine cannot listen on any of its addresses"


def plain_host(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_url(host: str) -> str:
    """Return a host in the form of a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether a host, without brackets, is this machine only: `localhost` or a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listeners(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host; `::` includes IPv4.

    Args:
        host: a name or an address, without brackets.
        port: port number; 0 chooses a free one.

    Raises:
        OSError: no such name, or an address that cannot be bound; no socket is left open.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address[0]) for family, _, _, _, address in infos):
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            same_port = opened[0].getsockname()[1] if opened else port
            both = family == socket.AF_INET6 and address == "::" and socket.has_dualstack_ipv6()
            where = (str(address), same_port)
            opened.append(socket.create_server(where, family=family, dualstack_ipv6=both))
            # Connections inherit it. asyncio sets it only for sockets whose protocol number is that of TCP, not 0:
            # without it the second part of an answer waits 40 ms for the acknowledgement of the first.
            opened[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        for listener in opened:
            with suppress(OSError):
                listener.close()
        raise
    if not opened:
        raise OSError(0, _NO_SUCH_FAMILY)
    return opened
