"""Outboxes and the dispatcher on every store: nothing is lost or sent twice, whichever program dies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from hub.notify.dispatcher import MQTT, AlertDispatcher, Route, unpublished_alert_count
from hub.notify.outbox import Notification, Outbox, known_names
from hub.store import keys
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.events import EventId
from shared.messages.alert import AlertMessage
from tests.factories import NOON, alert, stored

pytestmark = pytest.mark.redis


def names(count: int) -> list[str]:
    return [f"demo.street-1.boot.{seq}" for seq in range(count)]


def raise_alerts(archive: EventStore, events: list[str]) -> None:
    archive.mark_processed([(EventId.parse(event), alert(event)) for event in events])


def filled(archive: EventStore, count: int) -> Outbox:
    """An outbox with a given number of messages about archived alerts."""
    raise_alerts(archive, names(count))
    outbox = Outbox(archive.client, "ops")
    assert dispatcher(archive, outbox).dispatch_batch() == count
    return outbox


@dataclass(frozen=True)
class Enriching:
    """Enriches alerts, each by a function."""

    one: Callable[[AlertMessage], AlertMessage]

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        return [self.one(alert) for alert in alerts]


def dispatcher(archive: EventStore, *outboxes: Outbox, hub: str = "one") -> AlertDispatcher:
    return AlertDispatcher(archive.client, hub=hub, addresses=[Route(outbox) for outbox in outboxes])


def events(messages: list[Notification]) -> list[str]:
    return [event for message in messages for event in message.events]


def test_a_message_waits_until_it_is_done(archive: EventStore) -> None:
    outbox = filled(archive, 2)
    taken = outbox.claim("one")
    assert [message.alerts for message in taken] == [(alert(name),) for name in names(2)]
    assert outbox.claim("two", left_over=True) == [], "another was given them a moment ago"
    again = outbox.claim("one", left_over=True)
    assert again == taken
    outbox.ack([message.name for message in again])
    assert (outbox.claim("one", left_over=True), outbox.count(), archive.alerts.count()) == ([], 0, 2)


def test_hubs_divide_the_messages_and_take_over_what_one_left(archive: EventStore) -> None:
    outbox = filled(archive, 4)
    first, second = outbox.claim("one", limit=3), outbox.claim("two", limit=3)
    assert events([*first, *second]) == names(4)
    outbox.ack([message.name for message in (*first[:1], *second)])
    assert events(outbox.claim("two", left_over=True, idle_s=0.0)) == names(4)[1:3]
    assert not outbox.extend_lease("one", first[1].name), "it is the other's now"
    assert outbox.extend_lease("two", first[1].name)
    assert not outbox.extend_lease("two", second[0].name), "it is done"


def test_an_alert_that_expires_is_done_with(archive: EventStore) -> None:
    outbox = filled(archive, 1)
    raise_alerts(archive, ["demo.street-1.boot.7"])
    archive.delete_before(NOON + timedelta(seconds=10))
    assert outbox.claim("one") == []
    assert dispatcher(archive, outbox).dispatch_batch() == 1
    assert (outbox.count(), archive.client.xlen(keys.ALERTS_PENDING)) == (0, 0)


def test_an_alert_that_cannot_be_read_becomes_a_dead_letter(archive: EventStore) -> None:
    outbox = filled(archive, 2)
    archive.client.set(f"ew:alert:{names(2)[0]}", '{"version": 2}')
    assert events(outbox.claim("one")) == names(2)[1:]
    (letter,) = outbox.dead()
    assert letter.events == (names(2)[0],)


def test_held_alerts_go_out_as_one_message_once_whichever_hub_asks(archive: EventStore) -> None:
    outbox = filled(archive, 3)
    for late, message in enumerate(outbox.claim("one")):
        outbox.defer_to_digest(message, NOON + timedelta(minutes=late))
    assert (outbox.count(), outbox.held_count(), outbox.held_since()) == (0, 3, NOON)
    assert (outbox.flush_digest(), outbox.flush_digest()) == (3, 0)
    assert (outbox.held_count(), outbox.held_since()) == (0, None)
    (digest,) = outbox.claim("two")
    assert digest.digest
    assert digest.events == names(3)
    outbox.defer_to_digest(digest, NOON)
    assert outbox.held_count() == 3


def test_sent_messages_are_counted_for_a_day(archive: EventStore) -> None:
    outbox = filled(archive, 3)
    taken = outbox.claim("one")
    outbox.ack([taken[0].name], counted=taken[0].events, at=NOON)
    outbox.ack([taken[1].name], counted=taken[1].events, at=NOON + timedelta(hours=1))
    assert outbox.sent_last_24h(NOON + timedelta(hours=23)) == 2
    assert outbox.sent_last_24h(NOON + timedelta(hours=24.5)) == 1
    outbox.ack([taken[2].name], at=NOON + timedelta(hours=48))
    assert archive.client.zcard("ew:out:ops:sent") == 0, "older ones are forgotten"


def test_failures_are_counted_and_the_last_reason_is_kept_until_something_works(archive: EventStore) -> None:
    outbox = filled(archive, 2)
    one, two = outbox.claim("one")
    assert [outbox.note_failure(name, "no", NOON) for name in (one.name, one.name, two.name)] == [1, 2, 1]
    trouble = outbox.trouble()
    assert trouble is not None
    assert (trouble.reason, trouble.at) == ("no", NOON)
    outbox.ack([two.name], at=NOON)
    assert outbox.trouble() is None
    assert outbox.note_failure(one.name, "no", NOON) == 3


def test_a_dead_letter_can_be_put_back_or_removed(archive: EventStore) -> None:
    outbox = filled(archive, 3)
    for message in outbox.claim("one"):
        outbox.move_to_dead_letters(message, "gone: 410", 3)
    first, second, third = outbox.dead()
    assert (first.events, first.reason, first.attempts, first.digest) == ((names(3)[0],), "gone: 410", 3, False)
    outbox.requeue([second])
    outbox.remove([first])
    assert outbox.dead() == [third]
    assert (outbox.dead_count(), outbox.count()) == (1, 1)
    assert events(outbox.claim("one")) == [names(3)[1]]


def test_an_alert_is_handed_on_completed_to_all_who_want_it(archive: EventStore) -> None:
    raise_alerts(archive, names(2))
    ops, urgent = Outbox(archive.client, "ops"), Outbox(archive.client, "urgent")

    def complete(one: AlertMessage) -> AlertMessage:
        return one.model_copy(update={"severity": "urgent"}) if one.event.endswith("1") else one

    addresses = [Route(ops), Route(urgent, lambda one: one.severity == "urgent")]
    assert (
        AlertDispatcher(
            archive.client, hub="one", addresses=addresses, enrichment=Enriching(complete)
        ).dispatch_batch()
        == 2
    )
    assert events(ops.claim("one")) == names(2)
    assert [one.alerts[0].severity for one in urgent.claim("one")] == ["urgent"]
    assert {one.event: one.severity for one in archive.alerts.newest()} == dict(
        zip(names(2), ("notice", "urgent"), strict=True)
    )
    assert known_names(archive.client) == ["ops", "urgent"]


@pytest.mark.parametrize(
    ("trouble", "reported"), [(ValueError("our bug"), True), (UnavailableError("the store"), False)]
)
def test_an_alert_that_cannot_be_completed_is_sent_as_it_is_and_never_lost(
    archive: EventStore, trouble: Exception, reported: bool
) -> None:
    raise_alerts(archive, names(1))
    outbox = Outbox(archive.client, "ops")

    def complete(_one: AlertMessage) -> AlertMessage:
        raise trouble

    failing = AlertDispatcher(archive.client, hub="one", addresses=[Route(outbox)], enrichment=Enriching(complete))
    if reported:
        failing.dispatch_batch()
    else:
        with pytest.raises(UnavailableError):
            failing.dispatch_batch()
        assert outbox.count() == 0
        assert dispatcher(archive, outbox).dispatch_batch() == 1, "a hub of the same name finds it left over"
    assert events(outbox.claim("one")) == names(1)


def test_an_alert_that_cannot_be_completed_leaves_the_others_complete(archive: EventStore) -> None:
    raise_alerts(archive, names(3))
    outbox = Outbox(archive.client, "ops")

    def complete(one: AlertMessage) -> AlertMessage:
        if one.event == names(3)[1]:
            raise ValueError("our bug")
        return one.model_copy(update={"severity": "urgent"})

    enriching = Enriching(complete)
    AlertDispatcher(archive.client, hub="one", addresses=[Route(outbox)], enrichment=enriching).dispatch_batch()
    severities = [message.alerts[0].severity for message in outbox.claim("one")]
    assert severities == ["urgent", "notice", "urgent"]


def test_an_alert_that_cannot_be_read_is_not_enriched_and_waits_no_more(archive: EventStore) -> None:
    raise_alerts(archive, names(1))
    archive.client.set(keys.alert(names(1)[0]), b"no alert")

    class Failing:
        def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
            raise ValueError(f"{len(alerts)} alerts")

    outbox = Outbox(archive.client, "ops")
    failing = AlertDispatcher(archive.client, hub="one", addresses=[Route(outbox)], enrichment=Failing())
    assert [failing.dispatch_batch(), failing.dispatch_batch()] == [1, 0]
    assert (outbox.count(), archive.client.xlen(keys.ALERTS_PENDING)) == (0, 0)


def test_of_two_hubs_that_come_to_the_same_alert_one_hands_it_on(archive: EventStore) -> None:
    raise_alerts(archive, names(1))
    outbox = Outbox(archive.client, "ops")

    def while_another_hub_is_faster(one: AlertMessage) -> AlertMessage:
        archive.client.xclaim(
            keys.ALERTS_PENDING, "publishers", "two", 0, [archive.client.xrange(keys.ALERTS_PENDING)[0][0]]
        )
        assert dispatcher(archive, outbox, hub="two").dispatch_batch() == 1
        return one

    addresses = [Route(outbox)]
    AlertDispatcher(
        archive.client, hub="one", addresses=addresses, enrichment=Enriching(while_another_hub_is_faster)
    ).dispatch_batch()
    assert outbox.count() == 1


def test_an_alert_that_expires_while_it_is_completed_stays_away(archive: EventStore) -> None:
    archive.add(stored())
    raise_alerts(archive, names(1))
    outbox = Outbox(archive.client, "ops")

    def slowly(one: AlertMessage) -> AlertMessage:
        archive.delete_before(NOON + timedelta(seconds=10))
        return one

    AlertDispatcher(
        archive.client, hub="one", addresses=[Route(outbox)], enrichment=Enriching(slowly)
    ).dispatch_batch()
    assert (outbox.count(), archive.alerts.newest(), archive.client.exists(f"ew:alert:{names(1)[0]}")) == (0, [], 0)


def test_what_the_broker_does_not_have_is_due_or_on_its_way_to_it(archive: EventStore) -> None:
    raise_alerts(archive, names(3))
    assert unpublished_alert_count(archive.client) == 3
    outbox = Outbox(archive.client, MQTT)
    dispatcher(archive, outbox).dispatch_batch()
    assert (archive.client.xlen(keys.ALERTS_PENDING), unpublished_alert_count(archive.client)) == (0, 3)
    outbox.ack([outbox.claim("one", limit=1)[0].name])
    assert unpublished_alert_count(archive.client) == 2


def test_a_store_that_is_away_is_unavailable() -> None:
    away = EventStore("redis://127.0.0.1:1/0", timeout_s=0.2)
    outbox = Outbox(away.client, "ops")
    calls: list[Callable[[], object]] = [outbox.count, outbox.flush_digest, outbox.dead, lambda: outbox.claim("one")]
    for call in (*calls, dispatcher(away, outbox).dispatch_batch):
        with pytest.raises(UnavailableError):
            call()
