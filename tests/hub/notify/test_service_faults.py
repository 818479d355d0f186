"""Receivers and hubs that die while alerts are sent: each arrives, in order, or is a dead letter with its reason."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hub.notify.outbox import Outbox
from hub.store.events import EventStore
from shared.events import EventId
from tests.factories import alert
from tests.fake_receivers import Answer, Posted, Receiver, TellingHub, receiving
from tests.server_processes import Broker, Store, eventually

pytestmark = pytest.mark.faults


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def hub(tmp_path: Path, broker: Broker, store: Store, receiver: Receiver) -> Iterator[TellingHub]:
    """A hub that sends to two webhooks, of which nothing but the receiver's answers slows the first."""
    config = tmp_path / "hub.toml"
    config.write_text(f"""
[notify.webhooks.ops]
url = "{receiver.url}/ops"
max_per_day = 1000
timeout_s = 30
[notify.webhooks.other]
url = "{receiver.url}/other"
max_per_day = 1000
""")
    process = TellingHub(tmp_path / "hub", broker.port, store.url, config=config)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def archive(store: Store) -> Iterator[EventStore]:
    opened = EventStore(store.url)
    yield opened
    opened.close()


def names(first: int, end: int) -> list[str]:
    return [f"demo.street-1.boot.{seq}" for seq in range(first, end)]


def raise_alerts(archive: EventStore, first: int, end: int) -> None:
    archive.mark_processed([(EventId.parse(name), alert(name)) for name in names(first, end)])


def sent_alert_ids(posts: list[Posted], path: str = "/ops") -> list[str]:
    return [one["event"] for post in posts if post.path == path for one in json.loads(post.body)["alerts"]]


@pytest.mark.usefixtures("hub")
def test_a_receiver_that_was_down_gets_all_once_and_in_order(archive: EventStore, receiver: Receiver) -> None:
    outbox, other = Outbox(archive.client, "ops"), Outbox(archive.client, "other")
    raise_alerts(archive, 0, 5)
    eventually(lambda: sent_alert_ids(receiver.taken, "/other") == names(0, 5), 20, "the first are sent to the other")
    eventually(lambda: outbox.count() == other.count() == 0, 20, "and noted by both")
    assert sent_alert_ids(receiver.taken) == names(0, 5)
    receiver.stop()
    raise_alerts(archive, 5, 30)
    eventually(lambda: outbox.trouble() is not None, 20, "the hub notices")
    assert outbox.count() == 25
    with receiving(receiver.port) as again:
        eventually(lambda: outbox.count() == 0, 60, "nothing waits")
        eventually(lambda: other.count() == 0, 60, "nor for the other")
    assert sent_alert_ids(again.posted) == sent_alert_ids(again.posted, "/other") == names(5, 30)
    assert outbox.trouble() is None


def test_what_a_receiver_refuses_is_a_dead_letter_and_delays_no_one(
    hub: TellingHub, archive: EventStore, receiver: Receiver
) -> None:
    receiver.always = Answer(410)
    raise_alerts(archive, 0, 3)
    outbox = Outbox(archive.client, "ops")
    eventually(lambda: outbox.dead_count() == 3, 20, "all are dead letters")
    assert [letter.events for letter in outbox.dead()] == [(name,) for name in names(0, 3)]
    assert "410" in outbox.dead()[0].reason
    receiver.always = Answer()
    outbox.requeue(outbox.dead())
    eventually(lambda: sent_alert_ids(receiver.taken) == names(0, 3), 20, "they are sent once put back")
    assert hub.ready()


def test_a_receiver_that_hangs_delays_no_other_nor_the_broker(
    hub: TellingHub, archive: EventStore, receiver: Receiver
) -> None:
    released = threading.Event()
    receiver.hang_paths["/ops"] = released
    raise_alerts(archive, 0, 10)
    eventually(lambda: sent_alert_ids(receiver.taken, "/other") == names(0, 10), 20, "the other is sent")
    eventually(lambda: Outbox(archive.client, "mqtt").count() == 0, 20, "the broker has them")
    assert sent_alert_ids(receiver.taken) == []
    released.set()
    eventually(lambda: sent_alert_ids(receiver.taken) == names(0, 10), 20, "then the first one too")
    assert hub.ready()


def test_what_a_hub_was_sending_when_it_was_killed_is_sent_after_its_next_start(
    hub: TellingHub, archive: EventStore, receiver: Receiver
) -> None:
    released = threading.Event()
    receiver.hang_paths["/ops"] = released
    raise_alerts(archive, 0, 5)
    eventually(lambda: sent_alert_ids(receiver.posted) == names(0, 1), 20, "the first is under way")
    hub.kill()
    del receiver.hang_paths["/ops"]
    before = len(receiver.posted)
    raise_alerts(archive, 5, 8)
    hub.start()
    eventually(lambda: Outbox(archive.client, "ops").count() == 0, 30, "nothing waits")
    assert sent_alert_ids(receiver.posted[before:]) == names(0, 8)
    deliveries = {post.headers["earwitness-delivery"] for post in receiver.posted if post.path == "/ops"}
    assert len(deliveries) == 8, "what was sent twice has one name"
    released.set()


def test_a_hub_killed_again_and_again_while_it_sends_loses_nothing(
    hub: TellingHub, archive: EventStore, receiver: Receiver
) -> None:
    def enough(count: int) -> bool:
        return len(set(sent_alert_ids(receiver.posted))) >= count

    for first in (0, 50, 100):
        raise_alerts(archive, first, first + 50)
        eventually(partial(enough, first + 20), 30, "some are sent")
        hub.kill()
        hub.start()
    eventually(lambda: set(sent_alert_ids(receiver.taken)) == set(names(0, 150)), 30, "all are sent")
    eventually(lambda: Outbox(archive.client, "ops").count() == 0, 30, "and noted")
    assert len(sent_alert_ids(receiver.posted)) <= 150 + 3, "at most the one under way is sent again"
