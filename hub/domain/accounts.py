"""Users, API tokens and their roles. `hub.web.route_roles` states which role a request needs."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import InvalidError
from shared.messages.fields import Instant

Role = Literal["viewer", "inspector", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""Roles; each may do all that the ones before it may do."""
NAME_FORM: Final = r"^[a-z0-9][a-z0-9._@-]{0,62}$"
PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 128
"""Length of a password in characters. Source: OWASP, Application Security Verification Standard 4.0.3, 2.1.1 and
2.1.2."""

Name = Annotated[str, Field(pattern=NAME_FORM)]


def may(role: Role, needed: Role) -> bool:
    """Return whether a role includes another one."""
    return ROLES.index(role) >= ROLES.index(needed)


@dataclass(frozen=True, slots=True)
class Identity:
    """The client of a request.

    Attributes:
        name: name of the user or of the API token; empty where pages need no login.
        role: its role.
        is_token: whether it is an API token.
    """

    name: str
    role: Role
    is_token: bool = False

    @property
    def who(self) -> str:
        """Return the name for logs, which distinguishes tokens from users."""
        return f"token:{self.name}" if self.is_token else self.name

    def may(self, needed: Role) -> bool:
        """Return whether the client's role includes another one."""
        return may(self.role, needed)


LOCAL: Final = Identity("", "admin")
"""Any client of a hub whose pages need no login."""


class User(BaseModel):
    """A person who logs in on the page; `password_hash` has the PHC string format of Argon2."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Name
    role: Role
    password_hash: str
    added_at: Instant


class ApiToken(BaseModel):
    """A program's access to the API; `digest` is the SHA-256 of the token's text, in hexadecimal digits."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(pattern="^[0-9a-f]{8}$")
    name: Name
    role: Role
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    added_at: Instant
    expires_at: Instant

    def is_valid(self, now: datetime) -> bool:
        """Return whether the token has not expired."""
        return now < self.expires_at


class Accounts(BaseModel):
    """All users and API tokens of a hub. Methods return changed copies."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    v: Literal[1] = 1
    users: tuple[User, ...] = ()
    tokens: tuple[ApiToken, ...] = ()

    def user(self, name: str) -> User | None:
        """Return a user; None if there is no such user."""
        return next((user for user in self.users if user.name == name), None)

    def token(self, token_id: str) -> ApiToken | None:
        """Return a token by its id; None if there is no such token."""
        return next((token for token in self.tokens if token.id == token_id), None)

    def with_user(self, user: User) -> "Accounts":
        """Add a user.

        Raises:
            InvalidError: the name is taken or not allowed.
        """
        if not re.fullmatch(NAME_FORM, user.name):
            raise InvalidError(f"user name {user.name!r}: write lower-case letters, digits and . _ @ -, at most 63")
        if self.user(user.name) is not None:
            raise InvalidError(f"user {user.name} exists; `users set-role` and `users set-password` change a user")
        return self.model_copy(update={"users": (*self.users, user)})

    def without_user(self, name: str) -> "Accounts":
        """Remove a user.

        Raises:
            InvalidError: there is no such user.
        """
        self.existing_user(name)
        return self.model_copy(update={"users": tuple(user for user in self.users if user.name != name)})

    def with_changed_user(self, user: User) -> "Accounts":
        """Replace the user of the same name.

        Raises:
            InvalidError: there is no such user.
        """
        self.existing_user(user.name)
        users = tuple(user if one.name == user.name else one for one in self.users)
        return self.model_copy(update={"users": users})

    def existing_user(self, name: str) -> User:
        """Return a user.

        Raises:
            InvalidError: there is no such user.
        """
        found = self.user(name)
        if found is None:
            raise InvalidError(f"no user {name!r}; users: {', '.join(user.name for user in self.users) or 'none'}")
        return found

    def with_token(self, token: ApiToken) -> "Accounts":
        """Add an API token.

        Raises:
            InvalidError: a token has this name already.
        """
        if any(one.name == token.name for one in self.tokens):
            raise InvalidError(f"token {token.name} exists; revoke it first, or choose another name")
        return self.model_copy(update={"tokens": (*self.tokens, token)})

    def without_token(self, name: str) -> "Accounts":
        """Remove an API token by its name or id.

        Raises:
            InvalidError: there is no such token.
        """
        left = tuple(token for token in self.tokens if name not in {token.name, token.id})
        if len(left) == len(self.tokens):
            raise InvalidError(f"no token {name!r}; tokens: {', '.join(one.name for one in self.tokens) or 'none'}")
        return self.model_copy(update={"tokens": left})
