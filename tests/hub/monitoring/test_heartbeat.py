"""Heartbeats: whose they are, and what a watch does when a look fails."""

from datetime import UTC, datetime

import pytest

from hub.monitoring.heartbeat import build_heartbeat
from hub.notify.heartbeat_echo import build_heartbeat_reply
from hub.runtime.scheduler import ProbeScheduler, ScheduledProbe
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import VGGISH
from shared.messages.codec import decode_json, encode_json
from shared.messages.event import decode_event, encode_event
from shared.mqtt.topics import ALL_ALERTS, ALL_EVENTS, ALL_STATES, HEARTBEAT_REPLY_TOPIC, AlertTopic, SensorTopic
from tests.factories import NOON


def matches(topic_filter: str, topic: str) -> bool:
    wanted, there = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(there) and all(w in {"+", t} for w, t in zip(wanted, there, strict=True))


def test_heartbeats_go_where_no_one_else_listens() -> None:
    there = str(SensorTopic("heartbeat", "hub-1", "heartbeat"))
    back = str(AlertTopic("heartbeat"))
    assert back == HEARTBEAT_REPLY_TOPIC
    assert not [f for f in (ALL_ALERTS, ALL_EVENTS, ALL_STATES) for t in (there, back) if matches(f, t)]
    assert SensorTopic.parse(there).kind == "heartbeat"


@pytest.mark.parametrize(("site", "kind"), [("heartbeat", "event"), ("heartbeat", "state"), ("demo", "heartbeat")])
def test_no_sensor_is_at_the_site_of_heartbeats(site: str, kind: str) -> None:
    with pytest.raises(InvalidError, match="heartbeat"):
        SensorTopic.parse(f"earwitness/v1/{site}/street-1/{kind}")


def test_a_beat_is_a_valid_event_and_comes_back_as_a_valid_alert() -> None:
    beat = build_heartbeat("hub-1", "boot", 3, VGGISH, NOON)
    topic = SensorTopic("heartbeat", "hub-1", "heartbeat")
    assert decode_event(encode_event(beat), topic).id == beat.id
    alert = build_heartbeat_reply(beat)
    assert decode_json(type(alert), encode_json(alert)) == alert
    assert alert.event == "heartbeat.hub-1.boot.3"


class Recording:
    """A probe that fails as a test sets."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: list[datetime] = []
        self.lost_count = 0

    def run(self, now: datetime) -> None:
        self.seen.append(now)
        if self.error is not None:
            raise self.error

    def on_store_unavailable(self) -> None:
        self.lost_count += 1


def test_looks_are_taken_when_they_are_due_and_one_that_fails_stops_no_other() -> None:
    away, broken, well = Recording(UnavailableError("away")), Recording(ValueError("bug")), Recording()
    seen = list[str]()
    watch = ProbeScheduler(
        [
            ScheduledProbe("away", away, 10.0),
            ScheduledProbe("broken", broken, 10.0),
            ScheduledProbe("well", well, 30.0),
        ],
        seen=lambda at, _: seen.append(at),
        now=lambda: datetime.now(UTC),
    )
    for now_s in (100.0, 105.0, 110.0):
        watch.run_due(now_s)
    assert [len(one.seen) for one in (away, broken, well)] == [2, 2, 1]
    assert [one.lost_count for one in (away, broken, well)] == [2, 2, 0]
    assert seen == ["well"], "only a probe that succeeded counts, under its own name"
