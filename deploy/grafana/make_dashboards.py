"""Write deploy/grafana/dashboards/*.json: `python deploy/grafana/make_dashboards.py`. A test compares them.

Every panel is an entry of `network`, `internals` or `models`: title, unit and expressions.
`tests/servers/test_metrics.py` evaluates each expression in a real Prometheus. `--print` prints the JSON instead.
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
    """Return all dashboards as JSON, by file name."""
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
        print(json.dumps(dashboards()))  # noqa: T201 - the output of --print
        sys.exit()
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)
