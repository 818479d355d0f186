"""The whole sender on a line whose connections end every 40 s, with simulated clocks and a real spool."""

from pathlib import Path

import pytest

from edge.publisher import SpoolPublisher
from edge.spool import Spool
from shared.mqtt.session import Acknowledged, Connected, Disconnected
from tests.edge.simulated_line import Line

CLIP_S = 10.0
STEP_S = 0.25
MINUTES = 45


@pytest.mark.parametrize("message_s", [1.0, 2.0])
@pytest.mark.parametrize("resend_window_s", [60.0, 600.0])
def test_connections_of_forty_seconds_deliver_every_clip_soon(
    memory_folder: Path, message_s: float, resend_window_s: float
) -> None:
    """The line carries ten (five) times what is recorded, and is away for 3 s after every 40."""
    spool = Spool(memory_folder / "s.db", 10**8)
    line = Line(message_s)
    publisher = SpoolPublisher(line, spool, resend_window_s=resend_window_s, patience_s=60.0)
    captured: dict[bytes, float] = {}
    steps = round(MINUTES * 60 / STEP_S)
    for step in range(steps):
        now_s = step * STEP_S
        phase_s = now_s % 43.0
        signals: list[Acknowledged | Connected | Disconnected] = list(line.carry(now_s))
        if phase_s == 3.0:
            line.up, line.epoch, line.busy_until_s = True, line.epoch + 1, now_s
            signals.append(Connected(session_present=True, epoch=line.epoch))
        if phase_s == 0.0 and line.up:
            line.up = False
            line.queue.clear()
            signals.append(Disconnected("lost", line.epoch, 0x80))
        if now_s % CLIP_S == 0.0:
            name = str(step)
            spool.put(name, "t", name.encode())
            captured[name.encode()] = now_s
        publisher.handle(list(signals), now_s, now_s)
        publisher.publish_pending(now_s)
        if now_s % 1.0 == 0.0:
            publisher.purge(now_s)
    due = {name: at for name, at in captured.items() if at < MINUTES * 60 - 120}
    arrived = line.first()
    late = [name for name, at in due.items() if arrived.get(name, 1e9) - at > 120]
    assert len(captured) == 6 * MINUTES
    assert not late
    assert len(arrived) >= 0.95 * len(captured)
    assert spool.usage().aside == 0
    spool.close()


def test_nothing_is_purged_while_the_broker_is_away(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 10**8)
    line = Line(0.0)
    publisher = SpoolPublisher(line, spool, resend_window_s=60.0, patience_s=60.0)
    line.up = True
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for name in "abcde":
        spool.put(name, "t", name.encode())
    publisher.publish_pending(0.0)
    publisher.handle(list(line.carry(1.0)), 1.0, 1.0)
    line.up = False
    for now_s in range(2, 3_600):  # the broker is dead, and no client notices for a while
        if now_s == 50:
            publisher.handle([Disconnected("lost", 1, 0x80)], now_s, now_s)
        publisher.handle([], now_s, now_s)
        publisher.publish_pending(now_s)
        assert publisher.purge(now_s) == 0
    line.up = True
    publisher.handle([Connected(session_present=True, epoch=2)], 3_600.0, 3_600.0)
    line.delivered.clear()
    for _ in range(5):
        publisher.publish_pending(3_601.0)
        publisher.handle(list(line.carry(3_601.0)), 3_601.0, 3_601.0)
    assert sorted(line.first()) == [b"a", b"b", b"c", b"d", b"e"]
    spool.close()


def test_a_clock_that_goes_back_sends_nothing_again(memory_folder: Path) -> None:
    spool = Spool(memory_folder / "s.db", 10**8)
    line = Line(0.0)
    publisher = SpoolPublisher(line, spool, resend_window_s=60.0, patience_s=60.0)
    wall_s, line.up = 2e9, True
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, wall_s)
    for number in range(30):
        spool.put(str(number), "t", str(number).encode())
        publisher.publish_pending(10.0 * number)
        publisher.handle(list(line.carry(10.0 * number)), 10.0 * number, wall_s - 1e8 * number)
        publisher.purge(10.0 * number)
    line.delivered.clear()
    publisher.handle([Disconnected("lost", 1, 0x80), Connected(session_present=True, epoch=2)], 300.0, 0.0)
    for _ in range(30):
        publisher.publish_pending(300.0)
        publisher.handle(list(line.carry(300.0)), 300.0, 0.0)
    assert len(line.first()) == 7, "those of the last minute, and no others"
    spool.close()
