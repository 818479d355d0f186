"""The metrics as text."""

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from hub.metrics.definitions import EXEMPLAR_LONGEST, HubMetrics, exemplar
from hub.metrics.exposition import expose

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def names(text: str) -> set[str]:
    return {sample.name for family in classic(text) for sample in family.samples}


def test_a_client_that_accepts_openmetrics_gets_exemplars() -> None:
    metrics = HubMetrics(CollectorRegistry())
    metrics.alert_delay.observe(0.02, exemplar("demo.street-1.boot.7"))
    reported, content_type = expose(metrics.registry, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    found = [
        sample.exemplar.labels
        for family in openmetrics(reported.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert found == [{"event": "demo.street-1.boot.7"}]


@pytest.mark.parametrize(
    ("accept", "reported"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.9", "text/plain"),
        ("text/plain;version=1.0.0;q=0.2,application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0,*/*;q=0.1", "text/plain"),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept: str, reported: str) -> None:
    _, content_type = expose(HubMetrics(CollectorRegistry()).registry, accept)
    assert content_type.startswith(reported)


def test_another_client_gets_text() -> None:
    reported, content_type = expose(HubMetrics(CollectorRegistry()).registry, None)
    assert content_type.startswith("text/plain")
    assert "earwitness_hub_events_received_total" in names(reported.decode())


def test_an_exemplar_is_never_too_long() -> None:
    assert exemplar("s" * (EXEMPLAR_LONGEST + 1)) is None
    longest = exemplar("s" * EXEMPLAR_LONGEST)
    HubMetrics(CollectorRegistry()).beat_delay.observe(1.0, longest)
    assert longest is not None


def test_names_follow_the_conventions() -> None:
    for family in HubMetrics(CollectorRegistry()).registry.collect():
        if family.name.startswith("process_"):
            continue
        assert re.fullmatch(r"earwitness_(hub|store|sensor|model)_[a-z_]+", family.name), family.name
        assert family.documentation
        for label in [name for sample in family.samples for name in sample.labels]:
            assert label not in {"event", "alert", "pair"}
