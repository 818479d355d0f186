import pytest
from hypothesis import given

from shared.errors import InvalidError
from shared.mqtt.topics import AlertTopic, SensorTopic, shared_event_subscription
from tests.factories import names


@given(names, names)
def test_a_sensor_topic_reads_back_from_its_text(site: str, sensor: str) -> None:
    for topic in (SensorTopic(site, sensor, "event"), SensorTopic(site, sensor, "state")):
        assert SensorTopic.parse(str(topic)) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "earwitness/v1",
        "earwitness/v2/a/b/event",
        "earwitness/v1/a/b",
        "earwitness/v1/a/b/c/event",
        "earwitness/v1/A/b/event",
        "earwitness/v1/+/b/event",
        "earwitness/v1//b/event",
        "earwitness/v1/a/b/other",
        "x/earwitness/v1/a/b/event",
    ],
)
def test_other_topics_are_invalid(topic: str) -> None:
    with pytest.raises(InvalidError):
        SensorTopic.parse(topic)


def test_topics_are_spelt_as_in_the_contract() -> None:
    assert str(SensorTopic("site", "street-1", "event")) == "earwitness/v1/site/street-1/event"
    assert str(AlertTopic("site")) == "earwitness/v1/site/alert"
    assert shared_event_subscription("hubs") == "$share/hubs/earwitness/v1/+/+/event"


@pytest.mark.parametrize("name", ["a/b", "#", "", "a b", "-a", "a" * 64])
def test_a_wildcard_or_slash_cannot_enter_a_topic(name: str) -> None:
    with pytest.raises(InvalidError):
        AlertTopic(name)
    with pytest.raises(InvalidError):
        shared_event_subscription(name)
