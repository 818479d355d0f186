"""The first user of a new deployment, and the API token with which Prometheus reads the hub's metrics."""

import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from hub.deployment.atomic_files import write
from hub.deployment.certificate_authority import CLIENT_DAYS
from hub.domain.accounts import User
from hub.runtime.passwords import hash_password, make_token
from hub.store.accounts_file import AccountsFile

USERS_FILE: Final = "users.json"
ADMIN: Final = "admin"


def write_access(folder: Path, now: datetime) -> None:
    """Write `hub/users.json`, the password of its admin, and Prometheus's token, which lasts as long as certificates.

    Args:
        folder: the deployment.
        now: present time.
    """
    password = secrets.token_urlsafe(18)
    admin = User(name=ADMIN, role="admin", password_hash=hash_password(password), added_at=now)
    text, token = make_token("prometheus", "viewer", now, now + timedelta(days=CLIENT_DAYS))
    with AccountsFile(folder / "hub" / USERS_FILE).change() as draft:
        draft.accounts = draft.accounts.with_user(admin).with_token(token)
    write(folder / "admin.password", f"{password}\n", secret=True)
    write(folder / "prometheus" / "hub.token", text, secret=True)
