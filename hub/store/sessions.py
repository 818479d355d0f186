"""Sessions of users on the page: the browser holds a random text, the store its digest until the session ends."""

import hashlib
import json
import secrets
from typing import Any, Final, NamedTuple

from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.json_rows import encode

_LONGEST: Final = 128


class Session(NamedTuple):
    """A login of a user; `fingerprint` is a digest of the password at that time."""

    user: str
    fingerprint: str


class SessionStore:
    """Sessions, which all hubs of a store share; safe to use from several threads.

    Args:
        client: of the store.
        duration_s: time after which a session ends, in seconds.
    """

    def __init__(self, client: Any, duration_s: float) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self.duration_s = duration_s

    @raises_unavailable
    def open(self, session: Session) -> str:
        """Start a session; return the text that the browser sends from now on."""
        text = secrets.token_urlsafe(32)
        self._redis.set(_key(text), encode(session._asdict()), px=round(self.duration_s * 1000))
        return text

    @raises_unavailable
    def get(self, text: str) -> Session | None:
        """Return the session of a text; None if there is none, or it ended."""
        row = self._redis.get(_key(text)) if 0 < len(text) <= _LONGEST else None
        if row is None:
            return None
        fields = json.loads(row)
        return Session(fields["user"], fields["fingerprint"])

    @raises_unavailable
    def close(self, text: str) -> None:
        """End a session."""
        self._redis.delete(_key(text))


def _key(text: str) -> str:
    return keys.session(hashlib.sha256(text.encode()).hexdigest())
