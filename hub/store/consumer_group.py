"""A stream of the store that hubs divide among themselves: each entry is taken by one, and kept until it is done.

What a hub took and did not finish is left over: it finds it again after a start, and others may take it once nothing
came from it for a while. Source: Redis Streams, consumer groups and their pending entries.
"""

from collections.abc import Sequence
from typing import Any, Final

import redis

Entry = tuple[str, dict[bytes, bytes]]

IDLE_S: Final = 60.0
"""Time after which an entry leaves a hub that does nothing about it, in seconds."""

_KEEP: Final = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
return 1
"""


class ConsumerGroup:
    """One stream and its one group. The client's errors are the caller's to translate.

    Args:
        client: the store's client.
        key: of the stream.
        group: of those who take from it.
    """

    def __init__(self, client: Any, key: str, group: str) -> None:  # noqa: ANN401 - the client is untyped
        self.client = client
        self.key = key
        self.group = group
        self._keep = client.register_script(_KEEP)

    def take(
        self, hub: str, *, limit: int, wait_s: float = 0.0, left_over: bool = False, idle_s: float = IDLE_S
    ) -> list[Entry]:
        """Entries, the oldest first; no other hub is given the same.

        Args:
            hub: who takes them.
            limit: most entries, from 1.
            wait_s: how long to wait for the first one, in seconds.
            left_over: look for those first that were taken, by whichever hub, and not finished: by this one at any
                time, by others for `idle_s` seconds. They may be under way yet.
            idle_s: see `left_over`.
        """
        try:
            found = self._left_over(hub, limit, idle_s) if left_over else []
            if not found:
                block = round(wait_s * 1000) or None  # 0 would wait for ever
                answer = self.client.xreadgroup(self.group, hub, {self.key: ">"}, count=limit, block=block)
                found = answer[0][1] if answer else []
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._create_group()
            return self.take(hub, limit=limit, wait_s=wait_s, left_over=left_over, idle_s=idle_s)
        return [(name.decode(), fields) for name, fields in found]

    def _left_over(self, hub: str, limit: int, idle_s: float) -> list[tuple[bytes, dict[bytes, bytes]]]:
        self.client.xautoclaim(self.key, self.group, hub, round(idle_s * 1000), "0-0", count=limit, justid=True)
        answer = self.client.xreadgroup(self.group, hub, {self.key: "0"}, count=limit)
        return [(name, fields) for name, fields in answer[0][1] if fields] if answer else []

    def _create_group(self) -> None:
        try:
            self.client.xgroup_create(self.key, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:  # another hub was first
            if not str(error).startswith("BUSYGROUP"):
                raise

    def keep(self, hub: str, name: str) -> bool:
        """Restart the idle time of an entry; return whether it is still this hub's and not done."""
        return bool(self._keep(keys=[self.key], args=[self.group, hub, name]))

    def done(self, pipe: Any, names: Sequence[str]) -> None:  # noqa: ANN401
        """Have a pipeline finish entries, at least one."""
        pipe.xack(self.key, self.group, *names)
        pipe.xdel(self.key, *names)

    def count(self) -> int:
        """Return the number of entries that are not done."""
        return int(self.client.xlen(self.key))
