"""A spool on a disk that is full, damaged or failing: what can be kept is kept, and nothing else raises."""

import sqlite3
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.publisher import SpoolPublisher
from edge.spool import Spool
from shared.errors import OverloadedError, UnavailableError
from shared.mqtt.session import Acknowledged, Connected
from tests.edge.test_publisher import Broker

CAP = 10**9
PAGE = 4_096


@pytest.fixture
def spool(memory_folder: Path) -> Iterator[Spool]:
    made = Spool(memory_folder / "s.db", CAP)
    yield made
    made.close()


def fill_the_disk(spool: Spool) -> None:
    """From now on the disk has nothing left: SQLite answers SQLITE_FULL by itself."""
    spool._disk_left = lambda: 0  # type: ignore[method-assign]


def free_the_disk(spool: Spool) -> None:
    spool._disk_left = lambda: 10**9  # type: ignore[method-assign]


def names(spool: Spool) -> list[str]:
    return [one.event for one in spool.peek(10_000)]


def test_a_full_disk_refuses_a_clip_and_keeps_the_counts_right(spool: Spool) -> None:
    spool.put("a", "t", bytes(20_000))
    fill_the_disk(spool)
    with pytest.raises(UnavailableError, match="full"):
        spool.put("b", "t", bytes(2_000_000))
    assert (names(spool), spool.usage().pending, spool.usage().size_bytes) == (["a"], 1, 20_000)
    free_the_disk(spool)
    spool.put("b", "t", bytes(20_000))
    assert names(spool) == ["a", "b"]


def test_on_a_full_disk_old_acknowledged_rows_give_way_to_a_new_clip(spool: Spool) -> None:
    for name in "abc":
        spool.put(name, "t", bytes(200_000))
    spool.acknowledge([one.row for one in spool.peek(2)], now_s=1.0)
    fill_the_disk(spool)
    spool.put("d", "t", bytes(200_000))
    assert names(spool) == ["c", "d"]
    assert spool.usage().size_bytes == 400_000


def test_a_full_disk_keeps_publishing_and_acknowledgements_wait_in_memory(spool: Spool) -> None:
    for number in range(600):
        spool.put(str(number), "t", str(number).encode())
    fill_the_disk(spool)
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for now_s in range(400):
        publisher.publish_pending(float(now_s))
        answers = [broker.answer(mid, 0) for mid in sorted(broker.under_way)]
        publisher.handle(answers, float(now_s), 0.0)
        publisher.purge(float(now_s))
    assert sorted(map(int, broker.queued)) == list(range(600))
    assert publisher.published == 600
    assert publisher.drained


def test_acknowledgements_reach_the_disk_once_it_takes_them_and_nothing_is_sent_twice(spool: Spool) -> None:
    for number in range(40):
        spool.put(str(number), "t", str(number).encode())
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    spool._db.execute("PRAGMA query_only = ON")  # SQLite reads, and refuses to write
    for now_s in range(30):
        publisher.publish_pending(float(now_s))
        publisher.handle([broker.answer(mid, 0) for mid in sorted(broker.under_way)], float(now_s), 0.0)
        assert publisher.purge(float(now_s)) == 0
    assert sorted(map(int, broker.queued)) == list(range(40))
    assert spool.pending() == 40
    assert publisher.drained
    spool._db.execute("PRAGMA query_only = OFF")
    publisher.handle([], 40.0, 0.0)
    assert spool.pending() == 0


def damage(path: Path, pages: list[int]) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)


def leaves(path: Path, table: str) -> list[int]:
    """Pages of a table's b-tree that hold rows."""
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    db.close()
    content = path.read_bytes()

    def below(page: int) -> list[int]:
        at = (page - 1) * PAGE
        kind, cells = content[at], struct.unpack_from(">H", content, at + 3)[0]
        if kind == 0x0D:
            return [page]
        pointers = struct.unpack_from(f">{cells}H", content, at + 12)
        children = [struct.unpack_from(">I", content, at + pointer)[0] for pointer in pointers]
        children.append(struct.unpack_from(">I", content, at + 8)[0])
        return [leaf for child in children for leaf in below(child)]

    return below(root)


@pytest.mark.parametrize("where", [0, 1, 10, -1])
def test_one_damaged_page_costs_the_rows_on_it_and_no_others(memory_folder: Path, where: int) -> None:
    path = memory_folder / "s.db"
    first = Spool(path, CAP)
    for number in range(350):
        first.put(f"e{number}", "t", bytes([number % 256]) * 9_000)
    first.acknowledge([first.peek(1)[0].row], now_s=7.0)
    first.close()
    found = leaves(path, "clip")
    assert len(found) > 40
    damage(path, [found[where]])
    second = Spool(path, CAP)
    kept = {one.event: one.payload for one in second.peek(1_000)} | {
        one.event: one.payload for one in second.load(second.acknowledged(0.0))
    }
    lost = 350 - len(kept)
    assert 1 <= lost <= 12, "those of one page"
    assert second.usage().lost == lost
    assert all(payload == bytes([int(event[1:]) % 256]) * 9_000 for event, payload in kept.items())
    assert names(second) == sorted(names(second), key=lambda name: int(name[1:]))
    second.put("new", "t", b"")
    assert second.peek(1_000)[-1].row == 351, "numbers go on"
    second.close()
    assert (memory_folder / "s.db.damaged-1").exists()
    third = Spool(path, CAP)
    assert third.usage().lost == 0
    third.close()


def test_damage_to_the_index_of_events_costs_no_row(memory_folder: Path) -> None:
    path = memory_folder / "s.db"
    first = Spool(path, CAP)
    for number in range(350):
        first.put(f"event-with-a-rather-long-name-{number}", "t", bytes(100))
    first.close()
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_clip_1'").fetchone()
    db.close()
    damage(path, [root])
    second = Spool(path, CAP)
    assert len(names(second)) == 350
    assert second.usage().lost == 0
    second.close()


@pytest.mark.parametrize("table", ["content", "shed", "mark"])
def test_damage_to_what_is_known_of_rows_costs_no_row(memory_folder: Path, table: str) -> None:
    path = memory_folder / "s.db"
    first = Spool(path, 40 * 100)
    for number in range(42):
        first.put(f"s.n.boot.{number}", "t", bytes(100), evict=True, content="features")
    first.acknowledge([first.peek(1)[0].row], now_s=7.0)
    assert [shed.events for shed in first.shed_ranges()] == [2]
    first.close()
    damage(path, [leaves(path, table)[0]])
    second = Spool(path, 40 * 100)
    kept = {*names(second), *(one.event for one in second.load(second.acknowledged(0.0)))}
    assert kept == {f"s.n.boot.{number}" for number in range(2, 42)}
    assert (second.usage().lost, second.pending()) == (0, 40 if table == "mark" else 39)
    assert [shed.events for shed in second.shed_ranges()] == ([] if table == "shed" else [2])
    assert second.put("s.n.boot.42", "t", bytes(100), evict=True, content="features") == int(table == "mark")
    second.close()


def test_a_disk_that_becomes_read_only_keeps_publishing_and_reporting(spool: Spool) -> None:
    for number in range(10):
        spool.put(f"s.n.boot.{number}", "t", str(number).encode())
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool._db.execute("PRAGMA query_only = ON")  # SQLite answers SQLITE_READONLY by itself
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for call in (partial(spool.put, "x", "t", b"x", evict=True), partial(spool.expire, -1.0)):
        with pytest.raises(UnavailableError, match="readonly"):
            call()
    for now_s in range(20):
        publisher.publish_pending(float(now_s))
        publisher.handle([broker.answer(mid, 0) for mid in sorted(broker.under_way)], float(now_s), 0.0)
    assert sorted(map(int, broker.queued)) == list(range(10))
    assert publisher.drained
    assert (spool.shed_ranges(), spool.usage().pending) == ((), 10)


def test_a_page_damaged_while_the_agent_runs_costs_the_rows_on_it(memory_folder: Path) -> None:
    path = memory_folder / "s.db"
    first = Spool(path, CAP)
    for number in range(200):
        first.put(f"e{number}", "t", bytes(9_000))
    first.close()
    spool = Spool(path, CAP)
    spool._db.execute("PRAGMA cache_size = 0")
    damage(path, [leaves_of_a_copy(path, memory_folder)[10]])
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for now_s in range(100):
        publisher.publish_pending(float(now_s))
        publisher.handle([broker.answer(mid, 0) for mid in sorted(broker.under_way)], float(now_s), 0.0)
    assert 185 <= publisher.published < 200
    assert publisher.published + spool.usage().lost == 200
    spool.put("after", "t", b"")
    assert names(spool) == ["after"]
    spool.close()


def leaves_of_a_copy(path: Path, folder: Path) -> list[int]:
    copy = folder / "copy.db"
    copy.write_bytes(path.read_bytes())
    return leaves(copy, "clip")


def test_a_late_answer_to_a_row_that_damage_took_acknowledges_no_other(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", CAP)
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    spool.put("a", "t", b"a")
    publisher.publish_pending(0.0)
    spool._db.close()
    content = (memory_folder / "s.db").read_bytes()
    (memory_folder / "s.db").write_bytes(bytes(len(content)))  # nothing of it can be read
    spool._broken = True
    spool.put("b", "t", b"b")
    publisher.handle([broker.answer(min(broker.under_way), 0)], 1.0, 0.0)
    assert names(spool) == ["b"], "it was never sent"
    assert (spool.usage().pending, spool.usage().lost) == (1, 1)
    spool.close()


def test_a_rescue_that_a_power_cut_ended_is_finished_at_the_next_start(memory_folder: Path) -> None:
    path, fresh = memory_folder / "s.db", memory_folder / "s.db.salvaged"
    saved = Spool(fresh, CAP)
    saved.put("a", "t", b"")
    saved.close()
    spool = Spool(path, CAP)  # the damaged file was moved aside already
    assert names(spool) == ["a"]
    spool.close()
    fresh.write_bytes(b"a rescue that was not complete")
    spool = Spool(path, CAP)
    assert names(spool) == ["a"]
    assert not fresh.exists()
    spool.close()


def test_a_spool_of_the_version_before_is_read(memory_folder: Path) -> None:
    path = memory_folder / "s.db"
    db = sqlite3.connect(path)
    db.executescript("""
        CREATE TABLE clip (row INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,
          payload BLOB NOT NULL, acknowledged_at REAL);
        CREATE INDEX pending ON clip (row) WHERE acknowledged_at IS NULL;
        CREATE INDEX acknowledged ON clip (acknowledged_at) WHERE acknowledged_at IS NOT NULL;
        INSERT INTO clip VALUES (1, 'a', 't', x'01', 1.7e9), (2, 'b', 't', x'02', NULL);
    """)
    db.close()
    spool = Spool(path, CAP)
    assert names(spool) == ["b"]
    assert spool.latest_stamp() == 1.7e9
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    publisher.publish_pending(0.0)
    publisher.handle([broker.answer(1, 0), Acknowledged(-1, 0, 1)], 1.0, 0.0)
    publisher.publish_pending(1.0)
    assert [*broker.queued, *broker.under_way.values()] == [b"\x02", b"\x01"], "new events before repeats"
    spool.close()


def test_rows_set_aside_are_kept_over_a_restart_and_count_as_full(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 100_000)
    spool.put("a", "t", bytes(60_000))
    spool.set_aside(spool.peek(1)[0].row, "too large")
    spool.close()
    spool = Spool(memory_folder / "s.db", 100_000)
    assert (names(spool), spool.usage().pending, spool.usage().aside) == ([], 0, 1)
    with pytest.raises(OverloadedError):
        spool.put("b", "t", bytes(60_000))
    spool.release([one.row for one in spool.all_aside()])
    assert (names(spool), spool.usage().pending, spool.usage().aside) == (["a"], 1, 0)
    spool.close()


def test_rows_set_aside_give_way_to_live_clips_after_acknowledged_ones_and_are_counted(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 100_000)
    for name in "abcde":
        spool.put(name, "t", bytes(20_000))
    rows = {one.event: one.row for one in spool.peek(9)}
    for name in "ab":
        spool.set_aside(rows[name], "too large")
    spool.acknowledge([rows["c"]], 1.0)
    assert spool.put("f", "t", bytes(20_000), evict=True) == 0, "the acknowledged one gave way"
    assert spool.put("g", "t", bytes(20_000), evict=True) == 1
    assert (names(spool), spool.usage().aside, spool.usage().size_bytes) == (["d", "e", "f", "g"], 1, 100_000)
    with pytest.raises(OverloadedError):
        spool.put("h", "t", bytes(150_000), evict=True)
    assert (names(spool), spool.usage().aside) == (["d", "e", "f", "g"], 1), "nothing is abandoned in vain"
    assert spool.put("h", "t", bytes(50_000), evict=True) == 3, "one set aside, two pending, the oldest first"
    assert (names(spool), spool.usage().aside, spool.usage().size_bytes) == (["f", "g", "h"], 0, 90_000)
    spool.close()
