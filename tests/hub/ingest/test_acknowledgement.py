"""Messages are acknowledged once they are on the disk, in order, whatever waiting for that raises."""

from hub.ingest.acknowledgement import DurableAcknowledger
from shared.errors import UnavailableError
from shared.mqtt.signals import Received
from tests.server_processes import eventually


def received(mid: int) -> Received:
    return Received("t", b"", mid, 1, retain=False, content_type=None, epoch=1)


def test_a_fault_of_the_disk_or_of_ours_delays_acknowledgements_and_ends_none() -> None:
    faults: list[Exception] = [ValueError("an answer of another form"), UnavailableError("away"), TypeError("again")]
    reported: list[int] = []

    class Disk:
        def wait_for_disk(self) -> None:
            if faults:
                raise faults.pop(0)

    durable = DurableAcknowledger(Disk(), lambda message: reported.append(message.mid))
    durable.start()
    for mid in range(5):
        durable.put(received(mid))
    eventually(lambda: reported == [0, 1, 2, 3, 4], 30, "all are acknowledged, in order, once")
    durable.stop()
    assert (durable.worker.restarts, durable.worker.waits) == (2, 1)
    assert durable.stalled_s == 0.0


def test_messages_that_wait_for_the_disk_are_reported_as_stalled_and_what_is_durable_at_the_end_is_acknowledged() -> (
    None
):
    away, reported = [True], list[int]()

    class Disk:
        def wait_for_disk(self) -> None:
            if away:
                raise UnavailableError("the disk is full")

    durable = DurableAcknowledger(Disk(), lambda message: reported.append(message.mid))
    durable.put(received(1))
    durable.start()
    eventually(lambda: durable.worker.waits > 0, 20, "it is tried")
    eventually(lambda: durable.stalled_s > 0.3, 20, "nothing is acknowledged")
    assert not reported
    away.clear()
    durable.stop()
    assert reported == [1]
    assert durable.stalled_s == 0.0
