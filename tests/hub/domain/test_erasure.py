"""Names of erased sensors are found in every form, and in no other sensor's name."""

import json
from typing import Any

import pytest

from hub.domain.erasure import Erasure, digest
from shared.errors import InvalidError

SENSOR = Erasure("demo", "street-1").mentions()
SITE = Erasure("demo").mentions()
PERIOD = Erasure("demo", "street-1", 1, 2).mentions(
    [digest("demo.street-1.boot.7"), digest("demo.street-1.boot.9.3")]
)


@pytest.mark.parametrize(
    "text",
    [
        "demo.street-1.boot.7",
        "ew:event:demo.street-1.boot.7",
        "demo.street-1.boot.7.3",
        "demo/street-1",
        "ew:levels:demo/street-1:12",
        "earwitness/v1/demo/street-1/state",
        "homeassistant/device/earwitness_demo_street-1/config",
        '{"clip":"demo/street-1/2026-06-01/demo.street-1.boot.7.flac"}',
        "\x00demo/street-1\xff",
    ],
)
def test_all_forms_of_a_name_are_found(text: str) -> None:
    assert SENSOR.found_in(text.encode())
    assert SITE.found_in(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "demo/street-10",
        "demo.street-10.boot.7",
        "my-demo/street-1",
        "other.demo.street-1.5",
        "demo street-1",
        "earwitness_demo_street-10",
        "demo/street-1-b",
    ],
)
def test_names_of_others_are_not_found(text: str) -> None:
    assert not SENSOR.found_in(text.encode())


def test_of_a_period_only_its_events_and_episodes_count() -> None:
    assert PERIOD.found_in(b"demo.street-1.boot.8 demo.street-1.boot.7")
    assert PERIOD.found_in(b"demo.street-1.boot.7.2")
    assert PERIOD.found_in(b"demo.street-1.boot.9.3")
    for text in (b"demo/street-1", b"demo.street-1.boot.9", b"demo.street-1.boot.9.4", b"demo.street-1.boot.70"):
        assert not PERIOD.found_in(text)
    assert PERIOD.redacted(b"demo.street-1.boot.8 demo.street-1.boot.7") == b"demo.street-1.boot.8 (erased)"


GONE = "demo.street-1.boot.7"


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"event": GONE, "x": 1}, None),
        ({"id": GONE, "x": 1}, None),
        ({"matches": [{"event": GONE}, {"event": "demo.s.b.1"}]}, {"matches": [{"event": "demo.s.b.1"}]}),
        ({"id": "demo.s.b.1.3", "alert": GONE}, {"id": "demo.s.b.1.3", "alert": ""}),
        ({"rows": [[GONE, 5], ["demo.s.b.1", 5, GONE], [5, GONE]]}, {"rows": [["demo.s.b.1", 5, ""]]}),
        ({"calls": {"dog": {"alert": GONE}}, "none": None}, {"calls": {}, "none": None}),
        ({"demo/street-1": 4, "demo/s": 5}, {"demo/s": 5}),
        ({"examples": [GONE, "demo.s.b.1"]}, {"examples": ["demo.s.b.1"]}),
        ([], []),
        (GONE, None),
        ({"number": 1.5, "flag": True}, {"number": 1.5, "flag": True}),
    ],
)
def test_a_document_loses_the_items_that_name_it_alone(document: Any, left: Any) -> None:
    assert SENSOR.without(json.loads(json.dumps(document))) == left


@pytest.mark.parametrize(("site", "sensor"), [("", ""), ("De mo", ""), ("demo", "a/b"), ("*", "")])
def test_names_that_no_sensor_can_have_are_refused(site: str, sensor: str) -> None:
    with pytest.raises(InvalidError):
        Erasure(site, sensor)
