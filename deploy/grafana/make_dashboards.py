"""Writes deploy/grafana/dashboards/*.json: `python deploy/grafana/make_dashboards.py`. A test keeps them up to date.

Every panel is an entry of `network`, `internals` or `models`: what it shows, in which unit, and the expressions;
`tests/servers/test_metrics.py` asks a real Prometheus each of them. With `--print`, they are printed instead.
"""

import json
import sys
from pathlib import Path
from typing import Final

from internals import INTERNALS
from models import MODELS
from network import ONE_SENSOR, OVERVIEW
from panels import of

FOLDER: Final = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, str]:
    """All dashboards, by file name."""
    sensors = [
        ("site", "label_values(earwitness:sensor_state, site)"),
        ("sensor", 'label_values(earwitness:sensor_state{site="$site"}, sensor)'),
    ]
    hubs = [("hub", 'label_values(up{job="earwitness-hub"}, instance)')]
    return {
        "overview.json": of("overview", "network", OVERVIEW),
        "sensor.json": of("sensor", "one sensor", ONE_SENSOR, sensors),
        "hub.json": of("hub", "hub", INTERNALS, hubs, every=True),
        "models.json": of("models", "models", MODELS),
    }


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(json.dumps(dashboards()))  # noqa: T201 - what it is asked for
        sys.exit()
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)
