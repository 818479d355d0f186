"""The spool: order, bounds, survival."""

import math
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.spool import Spool
from shared.errors import OverloadedError, UnavailableError

MEGABYTE = 1024**2


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "deep" / "spool.db", MEGABYTE)
    yield made
    made.close()


def events(spool: Spool) -> list[str]:
    return [waiting.event for waiting in spool.peek(1_000)]


def test_messages_come_out_in_the_order_they_went_in(spool: Spool) -> None:
    for name in ("b", "a", "c"):
        spool.put(name, "t/" + name, name.encode())
    assert [(w.event, w.topic, w.payload) for w in spool.peek(2)] == [("b", "t/b", b"b"), ("a", "t/a", b"a")]
    assert spool.pending() == 3


def test_rows_under_way_are_skipped_and_the_limit_still_filled(spool: Spool) -> None:
    for name in "abcd":
        spool.put(name, "t", b"")
    first = spool.peek(2)
    assert [w.event for w in spool.peek(2, skip={w.row for w in first})] == ["c", "d"]


def test_acknowledged_messages_do_not_come_again(spool: Spool) -> None:
    for name in "ab":
        spool.put(name, "t", b"")
    assert spool.acknowledge([spool.peek(1)[0].row], now_s=100.0) == 1
    assert events(spool) == ["b"]
    assert spool.pending() == 1


def test_an_acknowledgement_counts_once(spool: Spool) -> None:
    spool.put("a", "t", b"")
    row = spool.peek(1)[0].row
    assert spool.acknowledge([row, 99], now_s=1.0) == 1
    assert spool.acknowledge([row], now_s=2.0) == 0
    assert spool.pending() == 0


def test_a_repeated_event_id_changes_nothing(spool: Spool) -> None:
    spool.put("a", "t", b"first")
    spool.put("a", "t", b"second")
    assert [w.payload for w in spool.peek(9)] == [b"first"]


def test_the_first_acknowledgement_counts(spool: Spool) -> None:
    for name in "abc":
        spool.put(name, "t", b"")
    a, b, _ = spool.peek(3)
    spool.acknowledge([a.row], now_s=100.0)
    spool.acknowledge([b.row], now_s=150.0)
    assert spool.acknowledge([a.row], now_s=160.0) == 0
    assert spool.acknowledged(since_s=120.0) == [b.row]
    assert spool.acknowledged(since_s=0.0) == [a.row, b.row]
    assert spool.latest_stamp() == 150.0
    assert [one.event for one in spool.load([b.row, 99, a.row])] == ["b", "a"]
    assert events(spool) == ["c"]


def test_purging_forgets_old_acknowledged_messages_and_never_pending_ones(spool: Spool) -> None:
    for name in "ab":
        spool.put(name, "t", b"")
    spool.acknowledge([spool.peek(1)[0].row], now_s=100.0)
    row = spool.acknowledged(0.0)[0]
    assert spool.purge(before_s=100.0) == 0
    assert spool.purge(before_s=100.1, keep={row}) == 0
    assert spool.purge(before_s=100.1) == 1
    assert spool.acknowledged(since_s=0.0) == []
    assert events(spool) == ["b"]


def test_a_full_spool_is_busy_until_something_is_forgotten(spool: Spool) -> None:
    spool.put("a", "t", bytes(600_000))
    with pytest.raises(OverloadedError):
        spool.put("b", "t", bytes(600_000))
    spool.acknowledge([spool.peek(1)[0].row], now_s=0.0)
    with pytest.raises(OverloadedError):
        spool.put("b", "t", bytes(600_000))
    spool.purge(before_s=1.0)
    spool.put("b", "t", bytes(600_000))
    assert events(spool) == ["b"]


def test_a_source_that_cannot_wait_abandons_acknowledged_messages_first(spool: Spool) -> None:
    for name in "ab":
        spool.put(name, "t", bytes(400_000))
    spool.acknowledge([spool.peek(1)[0].row], now_s=0.0)
    spool.put("c", "t", bytes(400_000), evict=True)
    assert events(spool) == ["b", "c"]
    assert spool.put("d", "t", bytes(400_000), evict=True) == 1
    assert events(spool) == ["c", "d"]


def test_a_refused_put_forgets_nothing(spool: Spool) -> None:
    spool.put("a", "t", bytes(300_000))
    spool.acknowledge([spool.peek(1)[0].row], now_s=50.0)
    with pytest.raises(OverloadedError):
        spool.put("b", "t", bytes(2_000_000), evict=True)
    assert [one.event for one in spool.load(spool.acknowledged(since_s=0.0))] == ["a"]


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s.db", MEGABYTE)
    for name in "abc":
        first.put(name, "t", bytes(300_000))
    first.acknowledge([first.peek(1)[0].row], now_s=10.0)
    first.close()
    second = Spool(tmp_path / "s.db", MEGABYTE)
    assert events(second) == ["b", "c"]
    assert second.pending() == 2
    with pytest.raises(OverloadedError):
        second.put("d", "t", bytes(300_000))
    assert len(second.acknowledged(since_s=0.0)) == 1
    assert second.latest_stamp() == 10.0
    assert second.note("newest") == "c"
    second.close()


def test_rows_are_never_used_twice(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", MEGABYTE)
    spool.put("a", "t", b"")
    row = spool.peek(1)[0].row
    spool.acknowledge([row], now_s=0.0)
    spool.purge(before_s=1.0)
    spool.put("b", "t", b"")
    assert spool.peek(1)[0].row > row
    spool.close()


def test_a_second_process_is_refused_because_the_spool_is_taken(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s.db", MEGABYTE)
    with pytest.raises(UnavailableError, match="another agent"):
        Spool(tmp_path / "s.db", MEGABYTE)
    first.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        Spool(tmp_path / "file" / "s.db", MEGABYTE)


@pytest.mark.parametrize("damage", ["garbage", "first page"])
def test_a_file_of_which_nothing_can_be_read_is_moved_aside_and_a_new_one_made(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s.db"
    first = Spool(path, MEGABYTE)
    for i in range(20):
        first.put(str(i), "t", bytes(9_000))
    first.close()
    content = path.read_bytes()
    path.write_bytes(b"not a database" * 999 if damage == "garbage" else b"\xa5" * 4_096 + content[4_096:])
    second = Spool(path, MEGABYTE)
    assert second.pending() == 0
    second.put("new", "t", b"")
    assert events(second) == ["new"]
    second.close()
    assert (tmp_path / "s.db.damaged-1").exists()


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 10**8)\n"
        "for i in range(10**6):\n"
        "    spool.put(str(i), 't', bytes(2_000)); print(i, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "s.db")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= 50:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    survivors = Spool(tmp_path / "s.db", 10**8)
    kept = [int(name) for name in events(survivors)]
    survivors.close()
    assert kept == list(range(len(kept)))
    assert len(kept) > last


def test_threads_may_share_it(spool: Spool) -> None:
    def fill(letter: str) -> None:
        for i in range(25):
            spool.put(f"{letter}{i}", "t", b"x")

    threads = [threading.Thread(target=fill, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.pending() == 50
    for letter in "ab":
        assert [e for e in events(spool) if e[0] == letter] == [f"{letter}{i}" for i in range(25)]


class SpoolAgainstAList(RuleBasedStateMachine):
    """Whatever happens, the spool holds exactly what a list with two marks would, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.folder.name) / "s.db", 1_000)
        self.rows: list[tuple[str, int, float | None]] = []
        self.now_s = 0.0

    def used(self) -> int:
        return sum(size for _, size, _ in self.rows)

    @rule(size=st.integers(0, 400))
    def put(self, size: int) -> None:
        name = f"e{len(self.rows)}-{self.now_s}"
        self.now_s += 1.0
        if self.used() + size > 1_000:
            with pytest.raises(OverloadedError):
                self.spool.put(name, "t", bytes(size))
        else:
            self.spool.put(name, "t", bytes(size))
            self.rows.append((name, size, None))

    @rule(which=st.integers(0, 5))
    def acknowledge(self, which: int) -> None:
        waiting = self.spool.peek(6)
        if which < len(waiting):
            self.now_s += 1.0
            assert self.spool.acknowledge([waiting[which].row], self.now_s) == 1
            name = waiting[which].event
            self.rows = [(n, s, self.now_s if n == name else at) for n, s, at in self.rows]

    @rule(which=st.integers(0, 5))
    def set_aside(self, which: int) -> None:
        waiting = self.spool.peek(6)
        if which < len(waiting):
            self.spool.set_aside(waiting[which].row, "too large")
            name = waiting[which].event
            self.rows = [(n, s, math.inf if n == name else at) for n, s, at in self.rows]

    @rule()
    def release(self) -> None:
        self.spool.release([one.row for one in self.spool.all_aside()])
        self.rows = [(n, s, None if at == math.inf else at) for n, s, at in self.rows]

    @rule(acknowledge=st.booleans())
    def start_again(self, acknowledge: bool) -> None:
        if acknowledge:  # also what was set aside may be acknowledged
            for one in self.spool.all_aside():
                assert self.spool.acknowledge([one.row], self.now_s) == 1
            self.rows = [(n, s, self.now_s if at == math.inf else at) for n, s, at in self.rows]
        self.spool.close()
        self.spool = Spool(Path(self.folder.name) / "s.db", 1_000)

    @rule(age_s=st.floats(0, 10))
    def purge(self, age_s: float) -> None:
        before_s = self.now_s - age_s
        self.spool.purge(before_s)
        self.rows = [row for row in self.rows if row[2] is None or row[2] >= before_s]

    @invariant()
    def holds_the_same(self) -> None:
        expected = [name for name, _, at in self.rows if at is None]
        assert events(self.spool) == expected
        assert self.spool.pending() == len(expected)
        fill = self.spool.usage()
        assert fill.size_bytes == self.used()
        assert fill.aside == len(self.spool.all_aside()) == sum(at == math.inf for _, _, at in self.rows)

    def teardown(self) -> None:
        self.spool.close()
        self.folder.cleanup()


SpoolAgainstAList.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
test_spool_agrees_with_a_list = SpoolAgainstAList.TestCase
