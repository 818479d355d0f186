import json
import logging

from shared.logging import ConsoleFormatter, JsonFormatter


def record() -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "hub.x", "levelno": 20, "levelname": "INFO", "msg": "event archived"})
    made.event = "a.b.1"
    made.color_message = "uvicorn's second text"
    return made


def test_json_lines_hold_constant_text_and_fields() -> None:
    line = json.loads(JsonFormatter().format(record()))
    assert (line["text"], line["event"], line["level"], line["logger"]) == (
        "event archived",
        "a.b.1",
        "info",
        "hub.x",
    )


def test_console_lines_end_in_the_fields() -> None:
    assert ConsoleFormatter().format(record()).endswith("info    hub.x: event archived event=a.b.1")
