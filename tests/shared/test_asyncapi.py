"""The AsyncAPI document matches messages and topics, and is valid."""

import json
import os
import re
import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, validators
from pydantic import BaseModel
from pydantic_asyncapi.v3 import AsyncAPI

from hub.integrations.homeassistant.discovery import LevelMessage, config_topic
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import HEARTBEAT_SITE, ROOT, AlertTopic, CommandTopic, HubTopic, SensorStateTopic, SensorTopic

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def text() -> str:
    return (DOCS / "asyncapi.yaml").read_text()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


def test_it_is_what_the_code_states(text: str) -> None:
    made = runpy.run_path(str(DOCS / "make_asyncapi.py"))["page"]()
    assert text == made, "run: python docs/make_asyncapi.py"


def test_it_is_an_asyncapi_document(document: dict[str, Any]) -> None:
    AsyncAPI.model_validate(document)


@pytest.mark.skipif(
    "EARWITNESS_ASYNCAPI_SCHEMA" not in os.environ, reason="names the published JSON schema of AsyncAPI 3.0.0"
)
def test_it_is_valid_by_the_published_schema(document: dict[str, Any]) -> None:
    schema = json.loads(Path(os.environ["EARWITNESS_ASYNCAPI_SCHEMA"]).read_text())
    validators.validator_for(schema)(schema).validate(document)


def test_every_reference_leads_somewhere(document: dict[str, Any], text: str) -> None:
    targets = set(re.findall(r"\$ref: '?#/([^'\n]+)", text))
    assert len(targets) > 20
    for target in targets:
        found: Any = document
        for step in target.split("/"):
            assert step in found, target
            found = found[step]


def test_every_topic_is_there(document: dict[str, Any]) -> None:
    values = {"site": "harbour", "sensor": "street-1", "hub": "hub-1", "prefix": "homeassistant"}
    addresses = {channel["address"].format(**values) for channel in document["channels"].values()}
    assert addresses == {
        str(SensorTopic("harbour", "street-1", "event")),
        str(SensorTopic("harbour", "street-1", "levels")),
        str(SensorTopic("harbour", "street-1", "state")),
        str(CommandTopic("harbour", "street-1", "command")),
        str(CommandTopic("harbour", "street-1", "command-reply")),
        str(AlertTopic("harbour")),
        *(str(SensorStateTopic("harbour", "street-1", kind)) for kind in ("level", "episode", "last-alert")),
        str(HubTopic("hub-1", "online")),
        str(HubTopic("hub-1", "intake")),
        f"{ROOT}/harbour/street-1/check",
        str(SensorTopic(HEARTBEAT_SITE, "hub-1", "heartbeat")),
        str(AlertTopic(HEARTBEAT_SITE)),
        config_topic("homeassistant", "harbour", "street-1"),
    }


@pytest.mark.parametrize(
    "message",
    [
        StateMessage(
            site="harbour",
            sensor="street-1",
            boot="b1",
            state="ready",
            source="synthetic",
            payload_format="flac",
            software="0.1.0",
            started_at=datetime(2026, 11, 26, tzinfo=UTC),
        ),
        LevelMessage(
            event="street-1.b1.7",
            captured_at=datetime(2026, 11, 26, tzinfo=UTC),
            laeq=61.2,
            lafmax=70.0,
            unit="dB",
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_that_are_sent_are_as_described(document: dict[str, Any], message: BaseModel) -> None:
    schema = {**document, "$ref": f"#/components/schemas/{type(message).__name__}"}
    sent = json.loads(message.model_dump_json())
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(sent)
    assert not validator.is_valid({**sent, "site": "Not A Site!", "unit": "sone"})
