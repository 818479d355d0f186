"""Limit failed logins per network address and per user name.

1. Each failed login counts for its address and for its name.
2. An address with `_PER_ADDRESS` failures in the last `_WINDOW_S` seconds has to wait until the oldest leaves the
   window. The same applies to a name with `_PER_NAME` failures. A name allows more, so that a person who knows a name
   needs several addresses to lock its owner out.
3. An IPv6 address counts as its network of 64 bits, which one machine can use in full.

Source: OWASP, Authentication Cheat Sheet, "Login Throttling"; RFC 4291, 2.5.1 (interface identifiers of 64 bits).
"""

import ipaddress
from collections import OrderedDict, deque
from typing import Final

_WINDOW_S: Final = 300.0
_PER_ADDRESS: Final = 10
_PER_NAME: Final = 20
_MOST: Final = 10_000
"""Most addresses and names that the hub remembers; above it, it forgets the one with the oldest failure."""


class LoginAttempts:
    """Failed logins of the last minutes. Callers serialise the calls."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def start(self, address: str, name: str, now_s: float) -> float:
        """Count an attempt as failed until `succeeded`, so that attempts at the same time count as well.

        Args:
            address: network address of the client.
            name: name that the client states.
            now_s: present time, in seconds.

        Returns:
            0 if the attempt may proceed; else the time to wait in seconds, and the attempt does not count.
        """
        wait_s = 0.0
        for key, limit in _keys(address, name):
            failures = self._failures.get(key, deque())
            while failures and failures[0] <= now_s - _WINDOW_S:
                failures.popleft()
            if len(failures) >= limit:
                wait_s = max(wait_s, failures[0] + _WINDOW_S - now_s)
        if wait_s <= 0.0:
            for key, _ in _keys(address, name):
                self._failures.setdefault(key, deque()).append(now_s)
                self._failures.move_to_end(key)
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)
        return wait_s

    def succeeded(self, address: str, name: str) -> None:
        """Forget the latest attempt."""
        for key, _ in _keys(address, name):
            if failures := self._failures.get(key):
                failures.pop()


def _keys(address: str, name: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (("address", _network(address)), _PER_ADDRESS), (("name", name.strip().lower()[:64]), _PER_NAME)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address
