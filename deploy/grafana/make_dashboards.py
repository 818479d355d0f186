"""Write deploy/grafana/dashboards/*.json from dashboards.toml: `python deploy/grafana/make_dashboards.py`.

A test compares them. `tests/hub/metrics/test_prometheus.py` evaluates every expression in a real Prometheus.
`--print` prints the JSON instead.
"""

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE: Final = Path(__file__).parent
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
SHORT: Final = {
    "<hub>": 'instance=~"$hub"',
    "<sensor>": 'site="$site", sensor="$sensor"',
    "<rate>": "$__rate_interval",
}
QUANTILE: Final = "histogram_quantile({}, sum by (le) (rate(earwitness_hub_{}_bucket{{<hub>}}[<rate>])))"
KINDS: Final = {"stat": stat.Panel, "table": table.Panel, "lines": timeseries.Panel}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: heading.
        queries: expressions, each with its legend if it has one.
        quantiles: name of a histogram of the hub, whose median and 95th percentile are further queries.
        text: description.
        unit: Grafana's name of the unit.
        kind: one number, lines over time, or a table.
        width: columns of 24; 0: 4 for one number, else 8.
        steps: limits of orange and red; none: always green.
        rising: whether high values are bad.
        exemplars: whether to show single events too.
        most: upper limit of the axis.
    """

    title: str
    queries: Sequence[Sequence[str]] = ()
    quantiles: str = ""
    text: str = ""
    unit: str = "none"
    kind: Literal["stat", "lines", "table"] = "lines"
    width: int = 0
    steps: Sequence[float] = ()
    rising: bool = True
    exemplars: bool = False
    most: float | None = None

    def expressions(self) -> list[tuple[str, str]]:
        """Return the full expressions, each with its legend."""
        quantiles = [(QUANTILE.format(q, self.quantiles), f"{q:.0%}") for q in (0.5, 0.95) if self.quantiles]
        expressions = []
        for expr, *legend in [*quantiles, *self.queries]:
            for short, long in SHORT.items():
                expr = expr.replace(short, long)  # noqa: PLW2901 - one after the other
            expressions.append((expr, "".join(legend)))
        return expressions


def build_query(spec: Panel, expr: str, legend: str) -> prometheus.Dataquery:
    """Return a query of a panel in Grafana's model."""
    query = prometheus.Dataquery().expr(expr).datasource(SOURCE).exemplar(spec.exemplars)
    if legend:
        query = query.legend_format(legend)
    if spec.kind == "table":
        return query.instant().format(PromQueryFormat.TABLE)
    return query.instant() if spec.kind == "stat" else query.range()


def build_thresholds(spec: Panel) -> dashboard.ThresholdsConfig:
    """Return the thresholds between green, orange and red."""
    colors = ("green", "orange", "red") if spec.rising else ("red", "orange", "green")
    steps = zip((None, *sorted(spec.steps)), colors if spec.steps else ["green"], strict=True)
    config = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    return config.steps([model.Threshold(value=value, color=color) for value, color in steps])


def build_panel(spec: Panel, number: int) -> stat.Panel | table.Panel | timeseries.Panel:
    """Return a panel in Grafana's model; `number` is its id, unique in the dashboard."""
    width, height = (4, 4) if spec.kind == "stat" else (8, 8)
    panel: stat.Panel | table.Panel | timeseries.Panel = KINDS[spec.kind]()
    panel = panel.title(spec.title).unit(spec.unit).datasource(SOURCE).thresholds(build_thresholds(spec))
    panel = panel.description(spec.text).span(spec.width or width).height(height).id(number)
    for letter, (expr, legend) in zip(ascii_uppercase, spec.expressions(), strict=False):
        panel = panel.with_target(build_query(spec, expr, legend).ref_id(letter))
    if isinstance(panel, timeseries.Panel):
        legend_options = common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
        panel = panel.legend(legend_options.placement(common_model.LegendPlacement.BOTTOM).show_legend(True))
        panel = panel.fill_opacity(8).line_width(1).show_points(common_model.VisibilityMode.AUTO)
        if spec.unit != "dB":  # levels in dBFS are negative
            panel = panel.min(0)
        if spec.most is not None:
            panel = panel.max(spec.most)
        if spec.steps:
            lines = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
            panel = panel.thresholds_style(lines)
    return panel


def build_variable(name: str, query: str, *, multiple: bool) -> dashboard.QueryVariable:
    """Return a variable; its query lists its values, of which users may select several, or all, if `multiple`."""
    variable = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE).query(query)
    variable = variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(model.VariableSort.ALPHABETICAL_ASC)
    if multiple:
        variable = variable.multi(True).include_all(True).all_value(".*")
        variable = variable.current(model.VariableOption(text="All", value="$__all", selected=True))
    return variable


def build_dashboard(uid: str, spec: Mapping[str, Any]) -> str:
    """Return a dashboard of dashboards.toml as JSON."""
    link = dashboard.DashboardLink("Earwitness").type(model.DashboardLinkType.DASHBOARDS)
    board = dashboard.Dashboard(f"Earwitness: {spec['title']}").uid(f"earwitness-{uid}").tags(["earwitness"])
    board = board.refresh("30s").time("now-6h", "now").timezone("browser").readonly()
    board = board.tooltip(model.DashboardCursorSync.CROSSHAIR).link(link.tags(["earwitness"]).keep_time(True))
    board = board.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for name, query in spec.get("variables", ()):
        board = board.with_variable(build_variable(name, query, multiple=spec.get("multiple", False)))
    numbers = count(1)
    for row in spec["rows"]:
        board = board.with_row(dashboard.Row(row["title"]).id(next(numbers)))
        for panel in row["panels"]:
            board = board.with_panel(build_panel(Panel(**panel), next(numbers)))
    document = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def dashboards() -> dict[str, str]:
    """Return all dashboards as JSON, by file name."""
    specs = tomllib.loads((HERE / "dashboards.toml").read_text(encoding="utf-8"))
    return {f"{uid}.json": build_dashboard(uid, spec) for uid, spec in specs.items()}


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(json.dumps(dashboards()))  # noqa: T201 - the output of --print
        sys.exit()
    for name, text in dashboards().items():
        (HERE / "dashboards" / name).write_text(text, encoding="utf-8")
