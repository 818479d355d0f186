"""Sessions of users on the page: the browser holds a random text, the store its digest until the session ends."""

import hashlib
import secrets
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.json_rows import encode

_LONGEST: Final = 128


class Session(BaseModel):
    """A login of a user; `fingerprint` is a digest of the password at that time."""

    model_config = ConfigDict(extra="ignore", frozen=True)

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
        self._redis.set(_key(text), encode(session.model_dump()), px=round(self.duration_s * 1000))
        return text

    @raises_unavailable
    def get(self, text: str) -> Session | None:
        """Return the session of a text; None if there is none, it ended, or its row cannot be read."""
        row = self._redis.get(_key(text)) if 0 < len(text) <= _LONGEST else None
        try:
            return None if row is None else Session.model_validate_json(row)
        except ValidationError:
            return None

    @raises_unavailable
    def close(self, text: str) -> None:
        """End a session."""
        self._redis.delete(_key(text))


def _key(text: str) -> str:
    return keys.session(hashlib.sha256(text.encode()).hexdigest())
