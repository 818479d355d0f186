"""Signal statistics of sensors, on every store."""

import random
from dataclasses import replace
from datetime import timedelta

from hub.domain.records import StoredEvent, WriteState
from hub.store import keys
from hub.store.events import EventStore
from hub.store.sensor_signals import SignalStats, SilenceThresholds, parse_signal_stats
from shared.events import EventId, Levels
from shared.messages.sensor import SensorReport, StateMessage
from tests.factories import NOON, stored


def stored_event(seq: int, boot: str = "boot", *, after_s: float = 0.0, laeq: float = -40.0) -> StoredEvent:
    event = stored(seq, after_s=after_s)
    return replace(event, id=EventId("demo", "street-1", boot, seq), levels=Levels(laeq, laeq))


def signal_stats(archive: EventStore) -> SignalStats:
    return parse_signal_stats(archive.client.hgetall(keys.sensor("demo/street-1")))


def test_numbers_that_never_came_are_missing_and_those_that_come_late_no_longer(archive: EventStore) -> None:
    archive.add_many([stored_event(seq) for seq in (7, 8, 11)])
    assert signal_stats(archive).missing == 2
    archive.add_many([stored_event(10), stored_event(9), stored_event(5)])
    assert signal_stats(archive).missing == 1


def test_a_repeat_is_not_counted_again(archive: EventStore) -> None:
    archive.add_many([stored_event(0), stored_event(2)])
    assert archive.add(stored_event(2)) is WriteState.UNFINISHED
    assert signal_stats(archive).missing == 1


def test_whatever_the_order_two_boots_miss_what_is_not_there(archive: EventStore) -> None:
    rng = random.Random(1)
    first, second = rng.sample(range(40), 25), rng.sample(range(2**53 - 50, 2**53 - 1), 30)
    events = [stored_event(seq, "one") for seq in first] + [stored_event(seq, "two") for seq in second]
    head, rest = events[:20], events[20:]
    rng.shuffle(rest)
    archive.add_many([*head, *rest])
    holes = [max(seqs) - min(seqs) + 1 - len(seqs) for seqs in (first, second)]
    assert signal_stats(archive).missing == sum(holes)


def test_a_new_start_of_a_sensor_begins_a_new_count_and_keeps_what_was_missing(archive: EventStore) -> None:
    archive.add_many([stored_event(seq, boot) for boot in ("a", "b", "c") for seq in (0, 2)])
    assert signal_stats(archive).missing == 3


def state_message(boot: str, highest: int | None, before: tuple[str, int] | None = None) -> StateMessage:
    """A state as this version's sensors send it."""
    report = SensorReport(
        at=NOON,
        waiting=0,
        spool=0.0,
        dropped=0,
        first_seq=None if highest is None else 0,
        highest_seq=highest,
        previous_boot=before[0] if before else None,
        previous_seq=before[1] if before else None,
    )
    return StateMessage(
        site="demo",
        sensor="street-1",
        boot=boot,
        state="ready",
        source="synthetic",
        payload_format="flac",
        software="0",
        started_at=NOON,
        report=report,
    )


def test_what_a_power_cut_took_from_the_end_of_a_boot_is_missing_once_the_next_is_received(
    archive: EventStore,
) -> None:
    archive.sensors.update_state(state_message("one", None))
    archive.add_many([stored_event(seq, "one") for seq in range(5)])
    archive.sensors.update_state(state_message("two", None, before=("one", 8)))
    assert signal_stats(archive).missing == 0, "they may still come"
    archive.add(stored_event(0, "two"))
    assert signal_stats(archive).missing == 4
    archive.add(stored_event(6, "one"))
    archive.add(stored_event(1, "two"))
    assert signal_stats(archive).missing == 3


def test_what_the_sensor_forgot_of_the_boot_before_the_hub_remembers(archive: EventStore) -> None:
    archive.sensors.update_state(state_message("one", None))
    archive.add_many([stored_event(seq, "one") for seq in range(5)])
    archive.sensors.update_state(state_message("one", 9))
    archive.sensors.update_state(state_message("two", None))
    archive.sensors.update_state(state_message("two", 3))
    archive.add(stored_event(0, "two"))
    assert signal_stats(archive).missing == 5


def test_what_is_lost_at_the_beginning_of_a_boot_is_missing(archive: EventStore) -> None:
    archive.sensors.update_state(state_message("one", None))
    archive.add(stored_event(3, "one"))
    assert signal_stats(archive).missing == 3
    archive.sensors.update_state(state_message("two", 6, before=("one", 3)))
    archive.add_many([stored_event(seq, "two") for seq in (4, 6, 1)])
    assert signal_stats(archive).missing == 3 + 4


def test_a_hub_that_is_newer_than_the_boot_misses_nothing_before_it(archive: EventStore) -> None:
    archive.sensors.update_state(state_message("one", 60_480))
    archive.add(stored_event(60_480, "one"))
    assert signal_stats(archive).missing == 0


def test_sensors_that_send_no_numbers_are_counted_as_before(archive: EventStore) -> None:
    old = state_message("one", None).model_dump(mode="json", exclude_unset=True)
    for name in ("first_seq", "highest_seq", "previous_boot", "previous_seq"):
        old["report"].pop(name)
    archive.sensors.update_state(StateMessage.model_validate(old))
    archive.add_many([stored_event(seq, "one") for seq in (7, 9)])
    assert signal_stats(archive).missing == 1


def test_the_time_of_the_last_sound_and_of_the_last_movement_are_exported(archive: EventStore) -> None:
    levels = [-40.0, -40.1, -39.9, -45.0, -110.0, -110.0, -110.1]
    archive.add_many([stored_event(seq, after_s=10.0 * seq, laeq=laeq) for seq, laeq in enumerate(levels)])
    last = signal_stats(archive)
    assert last.level == -110.1
    assert last.unit == "dBFS"
    assert last.sound_s == (NOON + timedelta(seconds=30 + 11)).timestamp()
    assert last.varied_s == (NOON + timedelta(seconds=40 + 11)).timestamp()


def test_a_floor_belongs_to_a_unit() -> None:
    ear = SilenceThresholds(silence_db=20.0, silence_dbfs=-100.0)
    levels = [Levels(19.9, 19.9, "dB"), Levels(20.0, 20.0, "dB"), Levels(-100.1, -100.1), Levels(-99.9, -99.9)]
    loud = [ear.arguments(replace(stored(), levels=own))[3] for own in levels]
    assert loud == [0, 1, 0, 1]


def test_of_a_sensor_that_sent_nothing_nothing_is_known() -> None:
    assert parse_signal_stats({b"state": b"ready"}) == SignalStats(0, None, "", None, None)


def test_a_backlog_of_hours_is_no_dead_microphone(archive: EventStore) -> None:
    late = NOON + timedelta(hours=3)
    archive.add_many(
        [replace(stored_event(seq, after_s=10.0 * seq, laeq=-40.0 - seq), received_at=late) for seq in range(5)]
    )
    assert (signal_stats(archive).sound_s, signal_stats(archive).varied_s) == (late.timestamp(), late.timestamp())
