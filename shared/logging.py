"""Logging for a console or a collector: a constant event text plus fields. Only the command lines set it up.

Use `log.info("event archived", extra={"event": id})`: the text is constant, the values are fields.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

from shared.command_line import to_json
from shared.settings import LogSettings

_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}


class ConsoleFormatter(logging.Formatter):
    """One readable line: time, level, text, `key=value` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{clock} {record.levelname.lower():7} {record.name}: {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return to_json(line, default=str)


def configure_logging(settings: LogSettings) -> None:
    """Write this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else ConsoleFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
