from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.accounts import ROLES, Accounts, ApiToken, Identity, User, may
from shared.errors import InvalidError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INES = User(name="ines", role="inspector", password_hash="$argon2id", added_at=NOW)  # noqa: S106
TOKEN = ApiToken(
    id="0123abcd", name="prometheus", role="viewer", digest="0" * 64, added_at=NOW, expires_at=NOW + timedelta(days=1)
)


def test_each_role_includes_those_before_it() -> None:
    for place, role in enumerate(ROLES):
        assert [may(role, needed) for needed in ROLES] == [n <= place for n in range(len(ROLES))]


def test_users_are_added_changed_and_removed_by_name() -> None:
    accounts = Accounts().with_user(INES)
    with pytest.raises(InvalidError, match="user ines exists"):
        accounts.with_user(INES)
    changed = accounts.with_changed_user(INES.model_copy(update={"role": "admin"}))
    assert [user.role for user in changed.users] == ["admin"]
    assert changed.without_user("ines") == Accounts()
    for missing in (accounts.without_user, accounts.existing_user):
        with pytest.raises(InvalidError, match="no user 'ada'; users: ines"):
            missing("ada")


@pytest.mark.parametrize("name", ["", "Ines", "a b", "-a", "a" * 64, "a\n", "token:a"])
def test_a_name_that_logs_could_not_show_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="lower-case letters"):
        Accounts().with_user(INES.model_copy(update={"name": name}))


def test_tokens_are_revoked_by_name_or_id_and_expire() -> None:
    accounts = Accounts().with_token(TOKEN)
    with pytest.raises(InvalidError, match="revoke it first"):
        accounts.with_token(TOKEN)
    assert accounts.without_token("prometheus") == accounts.without_token("0123abcd") == Accounts()
    with pytest.raises(InvalidError, match="no token 'other'"):
        accounts.without_token("other")
    assert TOKEN.is_valid(NOW)
    assert not TOKEN.is_valid(NOW + timedelta(days=1))


def test_logs_distinguish_tokens_from_users() -> None:
    assert Identity("ines", "viewer").who == "ines"
    assert Identity("ines", "viewer", is_token=True).who == "token:ines"
