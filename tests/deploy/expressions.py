"""Queries of rules and dashboards, and the metrics that the hub exports."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from edge.metrics import metric_families
from hub.metrics.definitions import HubMetrics

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy" / "prometheus").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
VARIABLES = {"$__range": "1h", "$__rate_interval": "10m", "$hub": ".*"}
BUILT_IN = {"up", "ALERTS"}
EMPTY = {
    'ALERTS{alertname=~"Earwitness.*", alertstate="firing"}': "nothing fires while all is well",
    'earwitness:sensor_state{state=~"silent|lost"} == 1': "every sensor is online, or was stopped on purpose",
    "sum by (rule) (increase(earwitness_hub_exceedances_total[1h]))": "a new deployment has no limits",
}
"""Expressions that are empty until something breaks, and why; besides those of alerts, which are made to."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An expression, and where it stands."""

    where: str
    expr: str

    @property
    def filled(self) -> str:
        """With a dashboard's variables given values."""
        return self.of("test", "live")

    def of(self, site: str, sensor: str) -> str:
        """With a dashboard's variables given the values of a sensor."""
        text = self.expr
        for name, value in {**VARIABLES, "$site": site, "$sensor": sensor}.items():
            text = text.replace(name, value)
        return text


@cache
def rules() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def recorded() -> list[Asked]:
    return [Asked(rule["record"], rule["expr"]) for rule in rules() if "record" in rule]


def alerting() -> list[Asked]:
    return [Asked(rule["alert"], rule["expr"]) for rule in rules() if "alert" in rule]


def drawn() -> list[Asked]:
    """What panels ask."""
    return [
        Asked(f"{path.name}: {panel['title']}", target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", [])
    ]


def listed() -> list[Asked]:
    """Series whose labels are the values of dashboards' variables."""
    queries = [
        (path.name, variable["query"])
        for path in DASHBOARDS
        for variable in json.loads(path.read_text())["templating"]["list"]
        if variable["type"] == "query"
    ]
    return [Asked(where, re.sub(r"label_values\((.*), \w+\)", r"\1", str(query))) for where, query in queries]


_SELECTOR = re.compile(r"((?:earwitness|process)[a-z_:0-9]*|\bup\b|\bALERTS\b)(\{[^}]*\})?")


def selectors(expr: str) -> Iterator[str]:
    """The series that an expression is made of."""
    for name, labels in _SELECTOR.findall(re.sub(r'"[^"]*"', lambda m: m.group().replace("earwitness", "\0"), expr)):
        yield name + labels.replace("\0", "earwitness")


def names(expr: str) -> set[str]:
    """The metrics that an expression names."""
    return {selector.partition("{")[0] for selector in selectors(expr)}


@cache
def exported_metrics() -> set[str]:
    """What there is to ask for: series of hub and sensors, with suffixes, and what rules record."""
    there = BUILT_IN | {asked.where for asked in recorded()}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    for family in (*HubMetrics(CollectorRegistry()).registry.collect(), *metric_families()):
        there |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return there
