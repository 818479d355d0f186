"""The schema version of a store, and the migrations to the present one.

Rows only gain fields (`hub.store.json_rows`), so most versions of the program share a schema. A change that a reader
of rows cannot handle, such as keys of another form, raises `SCHEMA` and adds a `Migration`. A migration can be
repeated, because a hub may end while it runs, and several hubs may run it at once.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from hub.store import keys
from hub.store.client import meaning
from hub.store.event_queries import EventQueries
from hub.store.events import EventStore
from shared.errors import InvalidError

log = logging.getLogger(__name__)

SCHEMA: Final = 2
"""The schema that this program writes. Stores of earlier programs state no schema: they have schema 1."""
_UNSTATED: Final = 1


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one schema to the next.

    Attributes:
        to: the schema after it.
        what: what it does, for the log.
        run: does it; to repeat it changes nothing.
    """

    to: int
    what: str
    run: Callable[[EventStore], object]


MIGRATIONS: Final = (
    Migration(2, "index all events by sensor and category", lambda archive: EventQueries(archive).backfill_indexes()),
)


def schema_of(client: Any) -> int:  # noqa: ANN401 - the client is untyped
    """Return the schema version of a store.

    Raises:
        InvalidError: the store states none that can be read, or a restore into it was cut short.
        UnavailableError: the store does not answer.
    """
    try:
        stated, restoring = client.mget([keys.SCHEMA, keys.RESTORING])
    except redis.RedisError as error:
        raise meaning(error) from error
    if restoring is not None:
        raise InvalidError(
            f"the store is incomplete, as a restore that began at {restoring.decode(errors='replace')} has not ended:"
            " repeat it with `earwitness-hub restore FILE --replace`"
        )
    try:
        return _UNSTATED if stated is None else int(stated)
    except ValueError:
        raise InvalidError(f"{keys.SCHEMA} holds {stated!r}, which is no schema version: restore a backup") from None


def refuse_newer(schema: int, what: str, known: int = SCHEMA) -> None:
    """Refuse a schema that a newer program made.

    Args:
        schema: the version.
        what: what has it, for the error.
        known: the newest version that can be read.

    Raises:
        InvalidError: it is newer.
    """
    if schema > known:
        raise InvalidError(
            f"{what} has schema {schema}, this program knows schemas until {known}: take the newer earwitness-hub"
            " that made it"
        )


def migrate(archive: EventStore, migrations: Sequence[Migration] = MIGRATIONS) -> list[int]:
    """Bring a store to the schema of the last migration.

    Args:
        archive: the store.
        migrations: all of them, the oldest first.

    Returns:
        The schemas of the migrations that ran.

    Raises:
        InvalidError: the store has a newer schema, or a restore into it was cut short.
        UnavailableError: the store does not answer; to repeat the call is safe.
    """
    schema = schema_of(archive.client)
    refuse_newer(schema, "the store", migrations[-1].to)
    done = [one for one in migrations if one.to > schema]
    for one in done:
        log.info("migrating the store", extra={"schema": one.to, "migration": one.what})
        one.run(archive)
        try:
            archive.client.set(keys.SCHEMA, one.to)
        except redis.exceptions.OutOfMemoryError as error:  # the next start runs it again
            log.warning("the schema is not written yet", extra={"reason": str(error)})
        except redis.RedisError as error:
            raise meaning(error) from error
    return [one.to for one in done]
