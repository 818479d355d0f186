"""Hash and verify passwords with Argon2id, and make and read API tokens.

Source: OWASP, Password Storage Cheat Sheet, Argon2id (19 MiB, 2 passes, 1 lane); RFC 9106.
"""

import functools
import hashlib
import hmac
import secrets
import threading
from datetime import datetime
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hub.domain.accounts import PASSWORD_MAX, PASSWORD_MIN, ApiToken, Role, User
from shared.errors import InvalidError

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Each hash takes 19 MiB and a core: further logins wait."""
_PREFIX: Final = "ewt"


@functools.cache
def hash_of_unknown_user() -> str:
    """Return a hash to verify for an unknown user: the time of the answer must not show which users exist."""
    return _HASHER.hash(secrets.token_urlsafe(16))


def hash_password(password: str) -> str:
    """Return the hash of a password.

    Raises:
        InvalidError: the password is too short or too long.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InvalidError(
            f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters; this one has {len(password)}"
        )
    return _HASHER.hash(password)


def verify_password(user: User | None, password: str) -> bool:
    """Return whether a password is the user's; False if there is no user, after the same time."""
    with _AT_ONCE:
        try:
            _HASHER.verify(
                hash_of_unknown_user() if user is None else user.password_hash, password[: PASSWORD_MAX + 1]
            )
        except (VerificationError, InvalidHashError):
            return False
    return user is not None


def fingerprint(user: User) -> str:
    """Return a digest that changes with the user's password; sessions hold it."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


def digest(secret: str) -> str:
    """Return the SHA-256 of a random secret of 256 bits, which no guessing finds."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_token(name: str, role: Role, now: datetime, expires_at: datetime) -> tuple[str, ApiToken]:
    """Return the text of a new API token, and what the hub keeps of it."""
    token_id = secrets.token_hex(4)
    text = f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"
    kept = ApiToken(id=token_id, name=name, role=role, digest=digest(text), added_at=now, expires_at=expires_at)
    return text, kept


def token_id_of(text: str) -> str:
    """Return the id in a token's text; "" if it has another form."""
    prefix, _, rest = text.partition("_")
    return rest.partition("_")[0] if prefix == _PREFIX else ""


def is_token(kept: ApiToken, text: str) -> bool:
    """Return whether a text is the token, in constant time."""
    return hmac.compare_digest(kept.digest, digest(text))
