"""A hub that is gone for good: its share goes to the others, and nothing is lost whatever happens meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from hub.cli import app
from shared.mqtt.session import Acknowledged, Connected, MqttSession, Subscribed
from shared.mqtt.topics import (
    ALL_INTAKES,
    INTAKE_CLOSED,
    HubTopic,
    shared_event_subscription,
    shared_level_subscription,
)
from tests.draining import drained
from tests.server_processes import Broker, Mosquitto

pytestmark = pytest.mark.e2e


@contextmanager
def connected(broker: Broker, name: str) -> Iterator[MqttSession]:
    link = MqttSession(broker.settings, name)
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    try:
        yield link
    finally:
        link.stop()


def subscribed(broker: Broker, name: str) -> None:
    """A hub of which the broker keeps a session; it is gone again."""
    with connected(broker, f"earwitness-hub-{name}") as link:
        link.subscribe(shared_event_subscription("hubs"))
        drained(link)


def received(broker: Broker, numbers: range, kind: str = "event") -> set[bytes]:
    """Messages that a sensor publishes."""
    payloads = [f"{kind} {number}".encode() for number in numbers]
    with connected(broker, "sensor") as sensor:
        for payload in payloads:
            sensor.publish(f"earwitness/v1/demo/street-1/{kind}", payload)
            assert isinstance(sensor.signals.get(timeout=20), Acknowledged)
    return set(payloads)


def leave(broker: Broker, name: str) -> tuple[int, str]:
    settings = ("--set", f"mqtt.port={broker.port}")
    ran = CliRunner().invoke(app, ["hubs", "remove", name, *settings])
    return ran.exit_code, ran.output


def test_the_share_of_a_hub_that_is_gone_goes_to_the_others(mosquitto: Mosquitto) -> None:
    subscribed(mosquitto, "gone")
    subscribed(mosquitto, "here")
    sent = received(mosquitto, range(40))
    with connected(mosquitto, "earwitness-hub-gone-levels") as gone:
        gone.subscribe(shared_level_subscription("hubs"))
        assert isinstance(gone.signals.get(timeout=20), Subscribed)
    series = received(mosquitto, range(5), "levels")
    with (
        connected(mosquitto, "earwitness-hub-here-levels") as levels,
        connected(mosquitto, "earwitness-hub-here") as here,
    ):
        levels.subscribe(shared_level_subscription("hubs"))
        here.publish(str(HubTopic("gone", "intake")), INTAKE_CLOSED, retain=True)
        before = set(drained(here))
        assert 0 < len(before) < len(sent), "the broker keeps a share for the hub that is gone"
        code, printed = leave(mosquitto, "gone")
        handed = len(sent) - len(before) + len(series)
        assert (code, printed) == (0, f"removed gone: {handed} events went to the other hubs\n")
        assert before | set(drained(here)) == sent
        assert set(drained(levels)) == series
        later = received(mosquitto, range(100, 110))
        assert set(drained(here)) == later, "its session has ended"
        here.subscribe(ALL_INTAKES)
        assert set(drained(here)) == set(), "its intake message is withdrawn"


def test_without_another_hub_nothing_is_handed_over_and_nothing_is_lost(mosquitto: Mosquitto) -> None:
    subscribed(mosquitto, "gone")
    sent = received(mosquitto, range(5))
    code, printed = leave(mosquitto, "gone")
    assert code == 1
    assert "no other hub receives events: start one first" in printed
    with connected(mosquitto, "earwitness-hub-gone") as back:
        assert set(drained(back)) == sent


def test_a_name_that_no_hub_had_is_no_success(broker: Broker) -> None:
    subscribed(broker, "hub-two")
    code, printed = leave(broker, "hub-tow")
    assert code != 0
    assert "no session of a hub 'hub-tow'" in printed


def test_a_hub_that_runs_is_not_put_out(broker: Broker) -> None:
    with connected(broker, "earwitness-hub-busy"):
        code, printed = leave(broker, "busy")
    assert code == 1
    assert "it is running, so stop it first" in printed


def test_without_a_broker_it_reports_that(broker: Broker) -> None:
    broker.stop()
    code, printed = leave(broker, "gone")
    assert code == 1
    assert "nothing listens there" in printed
