"""Sessions and the audit log in every store."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.store import keys
from hub.store.audit_log import AuditAction, AuditLog
from hub.store.events import EventStore
from hub.store.sessions import Session, SessionStore
from tests.server_processes import eventually

pytestmark = pytest.mark.redis

DAY = timedelta(days=1)


def test_a_session_ends_by_itself_and_by_logout_and_the_store_holds_no_text_of_it(archive: EventStore) -> None:
    sessions = SessionStore(archive.client, 60)
    text = sessions.open(Session(user="ines", fingerprint="f1"))
    assert sessions.get(text) == Session(user="ines", fingerprint="f1")
    assert text.encode() not in b" ".join(archive.client.keys("*"))
    sessions.close(text)
    assert sessions.get(text) is sessions.get("") is sessions.get("x" * 10_000) is None
    short = SessionStore(archive.client, 0.1)
    second = short.open(Session(user="ines", fingerprint="f1"))
    eventually(lambda: short.get(second) is None, 20, "the session has ended")


def test_entries_come_newest_first_by_page_person_and_action(archive: EventStore) -> None:
    log, now = AuditLog(archive.client, "hub-1", DAY), datetime.now(UTC)
    actions: tuple[AuditAction, ...] = ("played", "exported")
    for n in range(1_200):
        log.add(("ines", "ada")[n % 2], actions[n % 3 == 0], f"GET /{n}", "198.51.100.7", now)
    first, after = log.entries(limit=2)
    assert [one.what for one in first] == ["GET /1199", "GET /1198"]
    assert [one.what for one in log.entries(limit=2, before=after)[0]] == ["GET /1197", "GET /1196"]
    assert {one.who for one in log.entries(limit=2_000, who="ines")[0]} == {"ines"}
    exported, after = log.entries(limit=2_000, action="exported")
    assert len(exported) == 400
    assert after == ""
    assert (exported[0].hub, exported[0].address) == ("hub-1", "198.51.100.7")
    assert abs((exported[0].at - now).total_seconds()) < 60


def test_entries_older_than_the_retention_go_when_new_ones_come(archive: EventStore) -> None:
    for n in range(500):
        archive.client.xadd(
            keys.AUDIT, {"who": "", "action": "played", "what": "", "address": "", "hub": ""}, f"{n}-1"
        )
    AuditLog(archive.client, "hub-1", DAY).add("ines", "played", "x" * 1_000, "", datetime.now(UTC))
    entries, _ = AuditLog(archive.client, "hub-1", DAY).entries(limit=1_000)
    assert len(entries) <= 101, "Redis removes whole nodes, of 100 entries"
    assert len(entries[0].what) == 400


@pytest.mark.parametrize("row", [b"", b"no JSON", b"[1]", b"7", b'{"v": 1}', b'{"user": 7, "fingerprint": []}'])
def test_a_session_that_cannot_be_read_is_none(archive: EventStore, row: bytes) -> None:
    sessions = SessionStore(archive.client, 60)
    text = sessions.open(Session(user="ines", fingerprint="abc"))
    (key,) = archive.client.keys(keys.session("*"))
    archive.client.set(key, row)
    assert sessions.get(text) is None


def test_an_entry_that_lacks_fields_or_has_odd_ones_is_listed(archive: EventStore) -> None:
    log = AuditLog(archive.client, "hub-1", timedelta(days=1))
    archive.client.xadd(keys.AUDIT, {"who": b"\xff\xfe", b"\xff": "odd"})
    ((entry,), more) = log.entries(limit=10)
    assert (entry.who, entry.action, entry.hub, more) == ("\N{REPLACEMENT CHARACTER}" * 2, "", "", "")
