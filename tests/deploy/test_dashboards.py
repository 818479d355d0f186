"""Dashboards are what the code makes, and name nothing that the hub does not export."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.deploy.expressions import (
    DASHBOARDS,
    ROOT,
    Asked,
    alerting,
    drawn,
    exported_metrics,
    listed,
    names,
    recorded,
)


def test_dashboards_are_up_to_date() -> None:
    script = ROOT / "deploy" / "grafana" / "make_dashboards.py"
    made = subprocess.run([sys.executable, script, "--print"], capture_output=True, text=True, check=True)
    there = {path.name: path.read_text() for path in DASHBOARDS}
    assert json.loads(made.stdout) == there, "run: python deploy/grafana/make_dashboards.py"


@pytest.mark.parametrize("asked", [*recorded(), *alerting(), *drawn(), *listed()], ids=lambda asked: asked.where)
def test_expressions_name_only_what_there_is(asked: Asked) -> None:
    assert names(asked.expr) or asked.where == "EarwitnessWatchdog", "which always fires"
    assert names(asked.expr) <= exported_metrics()


def test_dashboards_are_distinguished_and_their_panels_have_room() -> None:
    uids = []
    for path in DASHBOARDS:
        document = json.loads(path.read_text())
        uids.append(document["uid"])
        places = Counter((p["gridPos"]["x"], p["gridPos"]["y"]) for p in document["panels"])
        assert max(places.values()) == 1
        assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in document["panels"])
        numbers = [panel["id"] for panel in document["panels"]]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        for panel in document["panels"]:
            letters = [target["refId"] for target in panel.get("targets", [])]
            assert all(letters)
            assert len(set(letters)) == len(letters)
    assert len(set(uids)) == len(uids) == 4


def test_every_metric_that_a_person_should_see_is_seen_somewhere() -> None:
    seen = set().union(*(names(asked.expr) for asked in [*recorded(), *alerting(), *drawn()]))
    own = {
        name
        for name in exported_metrics()
        if name.startswith("earwitness_") and not name.endswith(("_sum", "_count"))
    }
    own = {name for name in own if not name.startswith("earwitness_edge")}  # sensors are rarely scraped
    unseen = {
        "earwitness_hub_last_event_timestamp_seconds",  # of use in a query by hand
        "earwitness_hub_heartbeats_total",
        "earwitness_hub_batch_size_bucket",
        "earwitness_store_sensors",
    }
    assert own - seen == unseen
