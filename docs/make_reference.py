"""Write docs/reference.md from the code: `python docs/make_reference.py`. A test compares the two."""

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args, get_origin

import typer
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from edge.cli import app as edge_app
from edge.metrics import metric_families
from edge.settings import EdgeSettings
from hub.cli import app as hub_app
from hub.metrics.definitions import HubMetrics
from hub.settings import HubSettings
from shared.commands import CommandMessage, ReplyMessage
from shared.events import Event
from shared.level_series import LevelSeriesMessage
from shared.messages.alert import AlertMessage
from shared.messages.event import EventMessage
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import (
    ALL_ALERTS,
    ALL_COMMAND_REPLIES,
    ALL_COMMANDS,
    ALL_EVENTS,
    ALL_INTAKES,
    ALL_LEVELS,
    ALL_STATES,
    HubTopic,
    SensorStateKind,
    SensorStateTopic,
    shared_event_subscription,
    shared_level_subscription,
)

PAGE = Path(__file__).parent / "reference.md"
SUFFIXES = {"counter": "_total", "info": "_info"}
"""Suffixes that Prometheus adds to the names of metrics of a type."""


def settings(kind: type[BaseSettings]) -> Iterator[str]:
    """Yield the lines of tables of a program's settings, group by group."""
    prefix = kind.model_config["env_prefix"]
    for group, field in kind.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)  # noqa: S101
        assert issubclass(model, BaseModel)  # noqa: S101
        yield f"\n### `[{group}]`\n\n{summary(model)}\n"
        yield from fields(model, group, f"{prefix}{group.upper()}")
        for name, one in model.model_fields.items():
            if (named := named_tables(one.annotation)) is not None:
                yield f"\n#### `[{group}.{name}.NAME]`\n\n{summary(named)} NAME is yours to choose.\n"
                yield from fields(named, f"{group}.{name}.NAME", f"{prefix}{group.upper()}__{name.upper()}__NAME")


def fields(model: type[BaseModel], path: str, variable: str) -> Iterator[str]:
    """Yield the lines of a table of one group's settings; named tables get their own table."""
    yield "| setting | default | meaning | environment |\n|---|---|---|---|"
    for name, one in model.model_fields.items():
        if named_tables(one.annotation) is None:
            default = "(needed)" if one.is_required() else "(none)" if one.default is None else f"`{one.default}`"
            yield f"| `{path}.{name}` | {default} | {one.description} | `{variable}__{name.upper()}` |"


def named_tables(annotation: object) -> type[BaseModel] | None:
    """Return the model of a setting that holds tables of any name, otherwise None."""
    if get_origin(annotation) is not dict:
        return None
    kind = get_args(annotation)[1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def commands(app: typer.Typer, program: str) -> Iterator[str]:
    """Yield the lines of a table of a program's commands."""
    yield "| command | what it does |\n|---|---|"
    for path, text in _walk(typer.main.get_command(app), program):
        yield f"| `{path}` | {text} |"


def _walk(command: object, path: str) -> Iterator[tuple[str, str]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, (getattr(command, "help", None) or "").strip().splitlines()[0]
        return
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}")


def metrics(families: Iterable[Metric]) -> Iterator[str]:
    """Yield the lines of a table of a program's metrics."""
    yield "| metric | type | meaning |\n|---|---|---|"
    for family in families:
        yield f"| `{family.name}{SUFFIXES.get(family.type, '')}` | {family.type} | {family.documentation} |"


def messages() -> Iterator[str]:
    """Yield the lines of tables of topics and of the fields of their messages."""
    yield "| topic | message | delivery |\n|---|---|---|"
    yield (
        f"| `{ALL_EVENTS}` | event, CBOR | QoS 1, not retained; hubs subscribe to"
        f" `{shared_event_subscription('hubs')}` |"
    )
    yield (
        f"| `{ALL_LEVELS}` | levels of each second, JSON | QoS 1, not retained; hubs subscribe to"
        f" `{shared_level_subscription('hubs')}` |"
    )
    yield f"| `{ALL_STATES}` | state, JSON | QoS 1, retained; also the last will |"
    yield f"| `{ALL_COMMANDS}` | command, JSON | QoS 1, not retained, with message expiry; only hubs publish |"
    yield f"| `{ALL_COMMAND_REPLIES}` | reply to a command, JSON | QoS 1, not retained |"
    yield f"| `{ALL_ALERTS}` | alert, JSON | QoS 1, not retained |"
    for kind in get_args(SensorStateKind):
        yield f"| `{state_filter(kind)}` | a sensor's newest {kind}, JSON | QoS 1, retained; for Home Assistant |"
    online = str(HubTopic("x", "online")).replace("/x/", "/+/")
    yield f"| `{ALL_INTAKES}` | `open` or `closed`, for events of sensors | QoS 1, retained; also the last will |"
    yield f"| `{online}` | `online` or `offline` | QoS 1, retained; also the last will |"
    for model in (EventMessage, LevelSeriesMessage, StateMessage, CommandMessage, ReplyMessage, AlertMessage):
        yield f"\n**{model.__name__}**: {summary(model)} Fields: "
        yield ", ".join(f"`{name}`" for name in model.model_fields) + "."


def state_filter(kind: SensorStateKind) -> str:
    """Return the topic filter of one kind of sensor state that hubs publish."""
    return str(SensorStateTopic("x", "x", kind)).replace("/x/x/", "/+/+/")


def summary(thing: type) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def page() -> str:
    """Return the page."""
    parts = [
        "# Reference",
        "\nMade from the code by `python docs/make_reference.py`; do not edit.",
        f"\nAn event is {summary(Event)[0].lower()}{summary(Event)[1:]} Its id is written `site.sensor.boot.seq`.",
        "\n## Commands\n",
        *commands(edge_app, "earwitness-edge"),
        "",
        *commands(hub_app, "earwitness-hub"),
        "\n## Topics and messages\n",
        *messages(),
        "\n## Metrics (`/metrics` of the hub)\n",
        *metrics(HubMetrics(CollectorRegistry()).registry.collect()),
        "\n## Metrics (`/metrics` of a sensor, where `metrics.port` is set)\n",
        "Each has the labels `site` and `sensor`; `earwitness_edge_info` besides `software`, `source` and `form`.\n",
        *metrics(metric_families()),
        "\n## Settings of `earwitness-hub`",
        *settings(HubSettings),
        "\n## Settings of `earwitness-edge`",
        *settings(EdgeSettings),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
