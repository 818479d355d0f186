"""The store's client, and what its errors mean: away for a while, or unfit as it is set up, with what to do.

Source: redis-py 8, `redis.exceptions`; Redis, "ACL", "Cluster specification".
"""

import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import redis
from redis import exceptions as fault

from shared.errors import InvalidError, UnavailableError

_CODED: Final = (
    "of a password in redis.url, write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25"
    " (percent-encoding)"
)
_FORM: Final = f"redis.url is not redis://[user:password@]host:port/db, rediss:// or unix://path; {_CODED}"
CLUSTER: Final = (
    "it is one node of a cluster, where what belongs together may be on several: give a server with cluster mode"
    " disabled (a primary with replicas is one)"
)
REPLICA: Final = "it is a read-only replica: give the address of its primary in redis.url"
RIGHTS: Final = (
    "the user in redis.url lacks rights: users.acl as `earwitness-hub deployment create` writes it has them"
)
_LOGIN: Final = f"correct user and password in redis.url; {_CODED}"
_ASKS: Final = f"the store asks for a password: redis://user:password@host:port/db in redis.url; {_CODED}"
_OLD: Final = "it is too old, or it is no Redis: take Redis 7.0 or newer, or Valkey"
_NO_TLS: Final = "if it speaks no TLS at this port, write redis:// instead of rediss://, or correct the port"
_TLS: Final = "is it Redis, and if it speaks TLS at this port, is it written rediss:// in redis.url?"
_UNFIT: Final[tuple[tuple[tuple[type[Exception], ...], str, str], ...]] = (
    ((fault.MovedError, fault.AskError, fault.ClusterDownError, fault.ClusterCrossSlotError), "", CLUSTER),
    ((fault.ResponseError,), "cluster is down", CLUSTER),
    ((fault.ResponseError,), "same slot", CLUSTER),
    ((fault.ReadOnlyError,), "", REPLICA),
    ((fault.ResponseError,), "read only replica", REPLICA),
    ((fault.NoPermissionError,), "", RIGHTS),
    ((fault.ResponseError,), "no permissions", RIGHTS),
    ((fault.ResponseError,), "can't run this command or subcommand", RIGHTS),
    ((fault.ResponseError,), "can't access at least one of the keys", RIGHTS),
    ((fault.AuthenticationError,), "authentication required", _ASKS),
    ((fault.AuthenticationError,), "", _LOGIN),
    ((fault.ResponseError,), "unknown command", _OLD),
    ((fault.ResponseError,), "unknown redis command", _OLD),
    ((fault.ResponseError,), "db index is out of range", "correct the database at the end of redis.url"),
)
"""Errors that waiting does not end: their class, a part of their text, and what to do. The first that fits counts."""
_DAMAGED: Final = "WRONGTYPE Operation against a key"
_AWAY: Final = {
    "connection refused": "start it, or correct redis.url",
    "name or service not known": "correct the host in redis.url, or look at DNS",
    "no address associated": "correct the host in redis.url, or look at DNS",
    "temporary failure in name resolution": "correct the host in redis.url, or look at DNS",
    "loading the dataset": "it is reading its files after a start; wait",
    "certificate verify failed": "set redis.ca_file to the authority that made its certificate, or correct the host",
    "wrong_version_number": _NO_TLS,
    "record layer failure": _NO_TLS,
    "misconf": "it cannot write its files: free its disk",
    "maxmemory": "its memory is full: raise `maxmemory`, or lower store.retention_days",
}


class UnfitStoreError(UnavailableError):
    """The store answers, and as it is set up it can never do what the hub needs; a failover alone may end that.

    A hub that starts refuses it (`InvalidError`); one that runs keeps its work, and reports it.
    """


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def connect(url: str, timeout_s: float, ca_file: Path | None = None) -> Any:  # noqa: ANN401 - the client is untyped
    """Return a client; nothing is sent yet.

    Args:
        url: as `redis.Redis.from_url` takes it.
        timeout_s: longest wait for one answer.
        ca_file: authority that made the store's certificate; the system's if None.

    Raises:
        InvalidError: no such address, or an authority that cannot be read. The address is not quoted: it may hold a
            password.
    """
    trust: dict[str, object] = {}
    if ca_file is not None:
        if not url.startswith("rediss://"):
            raise InvalidError("redis.ca_file needs rediss:// in redis.url")
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidError(f"redis.ca_file {ca_file} cannot be used: {error.strerror or error}") from error
        trust["ssl_ca_certs"] = str(ca_file)
    try:
        return redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2, **trust
        )
    except (ValueError, TypeError):  # the text may quote a part of the password
        raise InvalidError(_FORM) from None


def raises_unavailable(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Turn the client's errors into ours, at the edge of a class that uses the store.

    A key that holds something else than the hub writes there is no server that is away: that error stays as it is, so
    that the message that needs the key is set aside (`hub.ingest.quarantine`) and stops no other.

    Raises:
        UnavailableError: instead of whatever else the client raises.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            if is_damage(error):
                raise
            raise meaning(error) from error

    return call


def is_damage(error: redis.RedisError) -> bool:
    """Return whether a key holds something else than the hub writes there."""
    return isinstance(error, fault.ResponseError) and _DAMAGED in str(error)


def meaning(error: redis.RedisError, who: str = "the store") -> UnavailableError:
    """Return what an error of the client means, in words with the remedy.

    Args:
        error: of the client.
        who: who answered it.

    Returns:
        `UnfitStoreError`, if waiting does not end it.
    """
    stated = f"{who}: {error}"
    text = str(error).lower()
    for kinds, part, remedy in _UNFIT:
        if isinstance(error, kinds) and part in text:
            moved = isinstance(error, fault.AskError)  # whose text is a slot and an address
            return UnfitStoreError(f"{who}: {remedy}" if moved else f"{stated.rstrip('.')}: {remedy}")
    remedy_ = next((words for sign, words in _AWAY.items() if sign in text), None)
    return UnavailableError(f"{stated.rstrip('.')}: {remedy_}" if remedy_ else stated)


def hinted(reason: str, url: str) -> str:
    """Return why the store does not answer, with what its address shows.

    Args:
        reason: as `meaning` states it.
        url: of the store.
    """
    text = reason.lower()
    if url.startswith("rediss://") and "timeout" in text and _NO_TLS not in reason:
        return f"{reason}: {_NO_TLS}"
    unknown = ("connection closed by server", "connection reset", "protocol error", "timeout reading", "broken pipe")
    if url.startswith("redis://") and any(sign in text for sign in unknown):
        return f"{reason}: {_TLS}"
    return reason
