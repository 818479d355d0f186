"""A delivery worker, its outbox on every store, a receiver that misbehaves: order, patience, digests, dead letters.

Rounds are made by hand, so that the clock can be too.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from hub.domain.delivery_policy import HEAD_OF_LINE_RETRIES, DeliveryPolicy, TimeOfDayRange
from hub.metrics.definitions import HubMetrics
from hub.notify.channels.protocol import Channel
from hub.notify.channels.webhook import Webhook
from hub.notify.delivery import ConfiguredChannel, DeliveryTiming, DeliveryWorker
from hub.notify.dispatcher import AlertDispatcher, Route
from hub.notify.http import JsonPoster
from hub.notify.outbox import Outbox
from hub.notify.rendering import MessageRenderer, RenderedMessage
from hub.settings.notify import WebhookSettings
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.events import EventId
from shared.messages.alert import AlertMessage, Severity
from tests.factories import alert
from tests.fake_receivers import Answer, Posted, Receiver, receiving
from tests.server_processes import Store, eventually

pytestmark = pytest.mark.redis

BERLIN = ZoneInfo("Europe/Berlin")
EVENING = datetime(2026, 6, 1, 23, tzinfo=BERLIN).astimezone(UTC)
QUIET = DeliveryPolicy(zone=BERLIN, quiet=TimeOfDayRange.parse("22:00-06:00"))
ALWAYS = DeliveryPolicy(zone=BERLIN)
DAY_S = 86_400.0


@dataclass
class Bench:
    """What a test needs of a hub."""

    archive: EventStore
    receiver: Receiver
    now: datetime = EVENING
    metrics: HubMetrics = field(default_factory=lambda: HubMetrics(CollectorRegistry()))

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.archive.client, "ops")

    def delivery_worker(
        self,
        rules: DeliveryPolicy = ALWAYS,
        hub: str = "one",
        expire_after_s: float = 1e9,
        notifier: Channel | None = None,
    ) -> DeliveryWorker:
        notifier = notifier or Webhook(JsonPoster(self.receiver.url, timeout_s=5), None)
        channel = ConfiguredChannel("ops", "webhook", notifier, rules, MessageRenderer(BERLIN, "http://hub"))
        timing = DeliveryTiming(expire_after_s, retry_cap_s=0.2, now=lambda: self.now)
        return DeliveryWorker(self.outbox, channel, hub, self.metrics, timing)

    def alerts(self, first: int, end: int, severity: Severity = "notice") -> None:
        raised = [alert(name).model_copy(update={"severity": severity}) for name in names(first, end)]
        self.archive.mark_processed([(EventId.parse(one.event), one) for one in raised])
        AlertDispatcher(self.archive.client, hub="one", addresses=[Route(self.outbox)]).dispatch_batch()

    def outcomes(self) -> dict[str, int]:
        (family,) = [f for f in self.metrics.registry.collect() if f.name == "earwitness_hub_notifications"]
        rows = [s for s in family.samples if s.name.endswith("_total")]
        return {row.labels["outcome"]: int(row.value) for row in rows if row.value}


@pytest.fixture
def bench(archive: EventStore) -> Iterator[Bench]:
    with receiving() as receiver:
        yield Bench(archive, receiver)


def names(first: int, end: int) -> list[str]:
    return [f"demo.street-1.boot.{seq}" for seq in range(first, end)]


def sent_alert_ids(posts: list[Posted]) -> list[list[str]]:
    """The alerts of each message."""
    return [[one["event"] for one in json.loads(post.body)["alerts"]] for post in posts]


def each(first: int, end: int) -> list[list[str]]:
    return [[name] for name in names(first, end)]


def test_alerts_are_sent_one_by_one_in_order(bench: Bench) -> None:
    bench.alerts(0, 20)
    delivery_worker = bench.delivery_worker()
    assert delivery_worker.deliver_pending() == 0.0
    assert sent_alert_ids(bench.receiver.taken) == each(0, 20)
    assert (bench.outbox.count(), bench.outcomes()) == (0, {"sent": 20})


def test_a_receiver_that_is_down_is_tried_once_a_round_and_gets_all_in_order_when_it_is_back(bench: Bench) -> None:
    bench.alerts(0, 5)
    delivery_worker = bench.delivery_worker()
    bench.receiver.always = Answer(503)
    for _ in range(3):
        assert delivery_worker.deliver_pending() <= 0.2
    assert sent_alert_ids(bench.receiver.posted) == each(0, 1) * 3
    trouble = bench.outbox.trouble()
    assert trouble is not None
    assert "503" in trouble.reason
    bench.receiver.always = Answer()
    bench.alerts(5, 8)
    delivery_worker.deliver_pending()
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == each(0, 8)
    assert bench.outcomes() == {"sent": 8, "retried": 3}
    assert bench.outbox.trouble() is None


def test_a_receiver_that_asks_for_patience_is_left_alone(bench: Bench) -> None:
    bench.alerts(0, 1)
    bench.receiver.always = Answer(429, {"Retry-After": "40"})
    assert bench.delivery_worker().deliver_pending() == 40.0


def test_a_webhook_with_letters_beyond_ascii_is_sent(bench: Bench) -> None:
    hook = WebhookSettings(url=SecretStr(f"{bench.receiver.url}/l\u00e4rm melden?an=M\u00fcller"))
    bench.alerts(0, 1)
    delivery_worker = bench.delivery_worker(
        notifier=Webhook(JsonPoster(hook.url.get_secret_value(), timeout_s=5), None)
    )
    assert delivery_worker.deliver_pending() == 0.0
    assert [post.path for post in bench.receiver.taken] == ["/l%C3%A4rm%20melden?an=M%C3%BCller"]


class Defective:
    """A channel with a defect."""

    def send(self, alerts: Sequence[AlertMessage], text: RenderedMessage) -> None:
        raise ZeroDivisionError(alerts, text)


def test_an_error_that_no_one_expected_ends_no_delivery_thread(bench: Bench) -> None:
    bench.alerts(0, 1)
    delivery_worker = bench.delivery_worker(notifier=Defective())
    delivery_worker.start()
    try:
        eventually(lambda: bench.outcomes().get("retried", 0) > 1, 20, "it is tried again")
        trouble = bench.outbox.trouble()
        assert trouble is not None
        assert "ZeroDivisionError" in trouble.reason
    finally:
        delivery_worker.stop()


def test_a_message_that_fails_again_and_again_does_not_hold_up_the_others_for_ever(bench: Bench) -> None:
    bench.alerts(0, 4)
    delivery_worker = bench.delivery_worker()
    for _ in range(HEAD_OF_LINE_RETRIES):
        bench.receiver.answers.append(Answer(500))
        delivery_worker.deliver_pending()
    assert bench.receiver.taken == []
    bench.receiver.answers.append(Answer(500))
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == each(1, 4)
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == [*each(1, 4), *each(0, 1)]


def test_what_is_refused_is_a_dead_letter_at_once_and_the_rest_goes_on(bench: Bench) -> None:
    bench.alerts(0, 3)
    bench.receiver.answers.append(Answer(410))
    delivery_worker = bench.delivery_worker()
    assert delivery_worker.deliver_pending() == 0.0
    assert sent_alert_ids(bench.receiver.taken) == each(1, 3)
    (letter,) = bench.outbox.dead()
    assert (letter.events, letter.attempts) == (tuple(names(0, 1)), 1)
    assert "410" in letter.reason
    bench.outbox.requeue([letter])
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == [*each(1, 3), *each(0, 1)]
    assert bench.outcomes() == {"sent": 3, "dead": 1}


def test_what_cannot_be_sent_for_a_day_is_abandoned(bench: Bench) -> None:
    bench.now = datetime.now(UTC)  # what waits is dated by the store
    bench.alerts(0, 2)
    bench.receiver.always = Answer(500)
    delivery_worker = bench.delivery_worker(expire_after_s=DAY_S)
    delivery_worker.deliver_pending()
    bench.now += timedelta(days=1, minutes=1)
    assert delivery_worker.deliver_pending() == 0.0
    assert [letter.events for letter in bench.outbox.dead()] == [tuple(names(0, 1)), tuple(names(1, 2))]
    assert [letter.attempts for letter in bench.outbox.dead()] == [2, 1]
    assert bench.outbox.count() == 0


def test_in_quiet_hours_all_but_the_urgent_waits_and_comes_as_one_in_the_morning(bench: Bench) -> None:
    delivery_worker = bench.delivery_worker(QUIET)
    bench.alerts(0, 2)
    bench.alerts(2, 3, "urgent")
    bench.alerts(3, 4, "recurring")
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == each(2, 3)
    assert (bench.outbox.held_count(), bench.outbox.count()) == (3, 0)
    bench.now = datetime(2026, 6, 2, 5, 59, tzinfo=BERLIN)
    delivery_worker.deliver_pending()
    assert len(bench.receiver.taken) == 1
    bench.now = datetime(2026, 6, 2, 6, 0, tzinfo=BERLIN)
    bench.alerts(4, 5)
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == [names(2, 3), names(4, 5), [*names(0, 2), *names(3, 4)]]
    digest = json.loads(bench.receiver.taken[-1].body)
    assert digest["title"].startswith("3 alerts, Mon 1 Jun")
    assert bench.outcomes() == {"sent": 3, "held": 3}


def test_what_could_not_be_sent_before_quiet_hours_is_held_when_they_begin(bench: Bench) -> None:
    delivery_worker = bench.delivery_worker(QUIET)
    bench.now = datetime(2026, 6, 1, 21, 59, tzinfo=BERLIN)
    bench.alerts(0, 1)
    bench.receiver.answers.append(Answer(500))
    delivery_worker.deliver_pending()
    bench.now += timedelta(minutes=1)
    delivery_worker.deliver_pending()
    assert (len(bench.receiver.posted), bench.outbox.held_count()) == (1, 1)


def test_alerts_beyond_the_most_a_day_wait_for_the_digest(bench: Bench) -> None:
    rules = replace(ALWAYS, max_per_day=3)
    delivery_worker = bench.delivery_worker(rules)
    bench.alerts(0, 5)
    bench.alerts(5, 6, "urgent")
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == [*each(0, 3), *each(5, 6)]
    bench.now = datetime(2026, 6, 2, 8, 0, tzinfo=BERLIN)
    bench.alerts(6, 7)
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken)[4:] == [names(3, 5)], (
        "a digest does not count, but the day is not over"
    )
    bench.now = EVENING + timedelta(hours=24, minutes=1)
    bench.alerts(7, 8)
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.taken)[5:] == each(7, 8)
    assert bench.outbox.held_count() == 1


def test_a_digest_that_fails_is_tried_again_as_one(bench: Bench) -> None:
    delivery_worker = bench.delivery_worker(QUIET)
    bench.alerts(0, 3)
    delivery_worker.deliver_pending()
    bench.now = datetime(2026, 6, 2, 6, 1, tzinfo=BERLIN)
    bench.receiver.answers.append(Answer(500))
    delivery_worker.deliver_pending()
    delivery_worker.deliver_pending()
    assert sent_alert_ids(bench.receiver.posted) == [names(0, 3)] * 2
    first, second = (post.headers["earwitness-delivery"] for post in bench.receiver.posted)
    assert first == second


def test_what_another_hub_took_over_is_left_to_it(bench: Bench) -> None:
    bench.alerts(0, 2)
    bench.receiver.always = Answer(500)
    one = bench.delivery_worker()
    one.deliver_pending()
    bench.receiver.always = Answer()
    for message in bench.outbox.claim("two", left_over=True, idle_s=0.0):
        bench.outbox.ack([message.name])
    assert one.deliver_pending() == 0.0
    assert bench.receiver.taken == []


def test_what_a_hub_had_in_hand_when_it_died_is_sent_by_the_next_of_its_name(bench: Bench) -> None:
    bench.alerts(0, 3)
    bench.receiver.always = Answer(500)
    bench.delivery_worker().deliver_pending()
    bench.receiver.always = Answer()
    bench.delivery_worker().deliver_pending()
    assert sent_alert_ids(bench.receiver.taken) == each(0, 3)


def test_two_hubs_publish_each_alert_once(bench: Bench) -> None:
    delivery_workers = [bench.delivery_worker(hub=hub) for hub in ("one", "two")]
    for delivery_worker in delivery_workers:
        delivery_worker.start()
    for first in range(0, 200, 10):
        bench.alerts(first, first + 10)
    eventually(lambda: bench.outbox.count() == 0, 30, "all is sent")
    for delivery_worker in delivery_workers:
        delivery_worker.stop()
    assert sorted(sent_alert_ids(bench.receiver.posted)) == sorted(each(0, 200))


def test_a_store_that_goes_away_between_sending_and_noting_it_causes_no_second_message(
    store: Store,
) -> None:
    archive = EventStore(store.url, timeout_s=1.0)
    with receiving() as receiver:
        bench = Bench(archive, receiver)
        bench.alerts(0, 3)
        delivery_worker = bench.delivery_worker()
        receiver.before = store.freeze
        delivery_worker.start()
        eventually(lambda: len(receiver.taken) == 1, 20, "the first is sent")
        receiver.before = None
        with pytest.raises(UnavailableError):  # as long as the delivery worker waits for the store to answer
            archive.count()
        store.thaw()
        eventually(lambda: len(receiver.taken) == 3, 20, "all is sent")
        eventually(lambda: bench.outbox.count() == 0, 20, "all is noted")
        delivery_worker.stop()
        assert sent_alert_ids(receiver.posted) == each(0, 3)
    archive.close()
