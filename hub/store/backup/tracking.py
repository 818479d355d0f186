"""Which keys any client writes to, as the store reports it.

Source: Redis, "Client-side caching", broadcasting mode; RESP3, push messages. Redis 6 and newer have it, Valkey too.
"""

from typing import Any

import redis

from hub.store import keys
from hub.store.backup.scope import is_left_out
from hub.store.client import meaning
from shared.errors import UnavailableError


class WriteTracker:
    """Learns which keys were written to, on a connection of its own.

    Args:
        client: of the store.

    Raises:
        UnavailableError: the store does not answer, or does not report writes.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        pool = client.connection_pool
        self._pool = redis.ConnectionPool(
            connection_class=pool.connection_class, **{**pool.connection_kwargs, "protocol": 3}
        )
        self._written: set[bytes] = set()
        self._lost = False
        try:
            self._connection: Any = self._pool.get_connection()
            self._connection._parser.set_invalidation_push_handler(self._note)  # noqa: SLF001 - redis-py has no other way
            self._ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", keys.EVERY)
        except redis.RedisError as error:
            raise meaning(error) from error

    def close(self) -> None:
        """End the connection, and with it the reports."""
        self._pool.disconnect()

    def drain(self) -> set[bytes]:
        """Return the keys that were written to before this call and after the call before, without those left out.

        The store sends its reports after it has handled the commands at hand, before it handles further ones. So all
        reports of writes before the first PING are there once the second one is answered.

        Raises:
            UnavailableError: the store does not answer, or was emptied.
        """
        try:
            self._ask("PING")
            self._ask("PING")
        except redis.RedisError as error:
            raise meaning(error) from error
        if self._lost:
            raise UnavailableError("the store was emptied meanwhile: make the backup again")
        written, self._written = self._written, set()
        return written

    def _ask(self, *words: str) -> None:
        self._connection.send_command(*words)
        while not isinstance(self._connection.read_response(push_request=True), bytes):
            pass  # a report; without `push_request` redis-py would recur at each

    def _note(self, message: list[Any]) -> None:
        if message[1] is None:
            self._lost = True
            return
        self._written.update(key for key in message[1] if not is_left_out(key))
